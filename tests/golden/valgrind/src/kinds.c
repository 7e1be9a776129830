/* Every kind of record that memcheck writes, in four "tests". */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/memcheck.h>

#define NI __attribute__((noinline))
struct node { struct node *next; char pad[96]; };
static char *reachable, *interior;
volatile int sink;
static int errors;

NI void lose(void) { char *p = malloc(500); memset(p, 1, 500); }
NI void *make_node(void) { return calloc(1, sizeof(struct node)); }
NI void lose_chain(void) {
  struct node *a = make_node();
  a->next = make_node();
  a->next->next = make_node();
}
NI void keep(void) { reachable = malloc(40000); }
NI void keep_inside(void) { interior = (char *)malloc(64) + 8; }
NI void bad_read(void) { char *p = malloc(8); sink = p[8]; free(p); }
NI void bad_write(void) { int *p = malloc(8); p[3] = 1; free(p); }
NI void after_free(void) { char *p = malloc(16); free(p); sink = p[2]; }
NI void uninit_cond(void) { int *p = malloc(4); if (*p) sink = 1; free(p); }
NI void uninit_value(void) {
  static int table[4];
  unsigned char *p = malloc(4);
  sink = table[p[0] & 3];
  free(p);
}
NI void bad_free(void) { int x; free(&x); }
NI void free_twice(void) { char *p = malloc(3); free(p); free(p); }
NI void overlap(void) { char b[32] = "overlapping text"; strcpy(b, b + 4); sink = b[5]; }
NI void param(void) {
  char *p = malloc(10);
  sink = write(open("/dev/null", O_WRONLY), p, 10);
  free(p);
}
NI void fishy(void) { volatile long n = -3; char *p = malloc(n); sink = p != 0; }
NI void wipe(void) { char b[8192]; memset(b, 0, sizeof b); sink = b[3]; }
NI void *thread(void *a) { prctl(PR_SET_NAME, "pool <1> & co"); bad_read(); return a; }
NI void leakgrid_canary_malloc(void) { char *p = malloc(4242); memset(p, 1, 4242); }
void mismatch(void);

static void begin(const char *test) {
  VALGRIND_PRINTF("leakgrid test-begin %s\n", test);
  errors = VALGRIND_COUNT_ERRORS;
}
static void end(const char *test, int check) {
  int n = VALGRIND_COUNT_ERRORS - errors;
  if (check) { wipe(); VALGRIND_DO_ADDED_LEAK_CHECK; }
  VALGRIND_PRINTF("leakgrid test-end %s errors=%d\n", test, n);
}

int main(void) {
  VALGRIND_DO_QUICK_LEAK_CHECK;
  VALGRIND_PRINTF("leakgrid phase tests\n");
  VALGRIND_PRINTF("somebody else says <hello> & \"bye\" ]]> \033[1m caf\351\n");
  begin("tests/test_a.py::test_read[a%20b]");
  for (int i = 0; i < 4; i++) { if (i < 1) bad_read(); else bad_write(); }
  end("tests/test_a.py::test_read[a%20b]", 0);
  begin("tests/test_a.py::test_leak");
  lose(); lose_chain();
  end("tests/test_a.py::test_leak", 1);
  begin("tests/test_b.py::test_%C3%A9ncore");
  for (int i = 0; i < 2; i++) { bad_read(); lose(); }
  lose_chain(); keep();
  end("tests/test_b.py::test_%C3%A9ncore", 1);
  begin("tests/test_b.py::test_more");
  after_free(); uninit_cond(); uninit_value(); bad_free(); free_twice();
  overlap(); param(); fishy(); mismatch(); keep_inside();
  end("tests/test_b.py::test_more", 0);
  pthread_t t;
  pthread_create(&t, 0, thread, 0);
  pthread_join(t, 0);
  leakgrid_canary_malloc();
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int ends[2], server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  open("/etc/passwd", O_RDONLY);
  sink = pipe(ends);
  inet_aton("127.0.0.1", &address.sin_addr);
  bind(server, (void *)&address, size);
  listen(server, 1);
  getsockname(server, (void *)&address, &size);
  connect(client, (void *)&address, size);
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  socket(AF_INET6, SOCK_DGRAM, 0);
  wipe();
  return 0;
}

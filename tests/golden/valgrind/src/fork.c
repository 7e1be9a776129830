/* A zygote with an error, two losses and an open file, and two forked children with the same and
 * with their own. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/memcheck.h>
#define NI __attribute__((noinline))
volatile int sink;
NI void lose(void) { char *p = malloc(500); memset(p, 1, 500); }
NI void other(void) { char *p = malloc(77); memset(p, 1, 77); }
NI void bad_read(void) { char *p = malloc(8); sink = p[8]; free(p); }
NI void wipe(void) { char b[8192]; memset(b, 0, sizeof b); sink = b[3]; }
NI void work(void) { lose(); bad_read(); wipe(); }
static void test(int i) {
  VALGRIND_PRINTF("leakgrid test-begin t.py::t%d\n", i);
  work();
  if (i == 2) other();
  VALGRIND_PRINTF("leakgrid test-end t.py::t%d errors=1\n", i);
}
int main(void) {
  open("/etc/hostname", O_RDONLY);
  for (int i = 0; i < 3; i++) { /* work() is called from one place: the same error in a child */
    int child = i > 0 && !fork();
    if (i == 0) other();
    if (i == 0 || child) work();
    if (child) {
      test(i);
      if (i == 2) open("/etc/passwd", O_RDONLY);
      _exit(0);
    }
    if (i) wait(0);
  }
  wipe();
  _exit(0);
}

/* Hangs in a test until somebody kills it. */
#include <stdlib.h>
#include <unistd.h>
#include <valgrind/valgrind.h>
volatile int sink;
__attribute__((noinline)) void bad_read(void) { char *p = malloc(8); sink = p[8]; free(p); }
int main(void) {
  VALGRIND_PRINTF("leakgrid test-begin t.py::fine\n");
  bad_read();
  VALGRIND_PRINTF("leakgrid test-end t.py::fine errors=1\n");
  VALGRIND_PRINTF("leakgrid test-begin t.py::killed\n");
  for (;;) pause();
}

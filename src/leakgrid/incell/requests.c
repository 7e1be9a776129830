/* Valgrind client requests for the code inside a cell, loaded with ctypes.
 *
 * Without Valgrind's headers it serves the native screen alone and every request does nothing.
 * Outside Valgrind every request is a few no-op instructions, so the same library serves the
 * native screen. See valgrind.h and memcheck.h, "client requests", in Valgrind's manual
 * (mc-manual.html#mc-manual.clientreqs). Needs no Python headers: one build for all Pythons.
 */
#include <stddef.h>
#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#if defined(__has_include) && !defined(LEAKGRID_WITHOUT_VALGRIND)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define LEAKGRID_VALGRIND 1
#endif
#endif

#ifndef LEAKGRID_VALGRIND
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_PRINTF(format, text) ((void)(text))
#define VALGRIND_COUNT_ERRORS 0
#define VALGRIND_DO_ADDED_LEAK_CHECK ((void)0)
#define VALGRIND_DO_QUICK_LEAK_CHECK ((void)0)
#define VALGRIND_COUNT_LEAKS(a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#define VALGRIND_COUNT_LEAK_BLOCKS(a, b, c, d) VALGRIND_COUNT_LEAKS(a, b, c, d)
#endif

#define CANARY __attribute__((noinline, visibility("default")))
#define EXPORT __attribute__((visibility("default")))

#ifdef LEAKGRID_VALGRIND
/* leakgrid looks for this name in the file to know that the requests are in it. */
EXPORT int leakgrid_has_valgrind_requests(void) { return 1; }
#endif

EXPORT int leakgrid_running(void) { return (int)RUNNING_ON_VALGRIND; }

EXPORT void leakgrid_message(const char *text) { VALGRIND_PRINTF("%s", text); }

/* Errors so far, repeats included: their difference over a test names every test that has one. */
EXPORT unsigned long leakgrid_errors(void) { return (unsigned long)VALGRIND_COUNT_ERRORS; }

/* Reports what has been lost since the last check only (deltas in the text of each record). */
EXPORT void leakgrid_added_leak_check(void) { VALGRIND_DO_ADDED_LEAK_CHECK; }

/* Changes one of the options that may change while the program runs (Valgrind 3.16 and later;
 * which they are: `valgrind --help-dyn-options`). Returns 0 where that is not possible. */
EXPORT int leakgrid_option(const char *option) {
#ifdef VALGRIND_CLO_CHANGE
  VALGRIND_CLO_CHANGE(option);
  return 1;
#else
  (void)option;
  return 0;
#endif
}

/* Makes the present state what the next added check compares with; prints nothing. */
EXPORT void leakgrid_leak_base(void) { VALGRIND_DO_QUICK_LEAK_CHECK; }

/* The last check's sums. out: lost (definite and indirect), possible, reachable, suppressed;
 * bytes, then blocks. */
EXPORT void leakgrid_totals(unsigned long *out) {
  unsigned long leaked = 0, dubious = 0, reachable = 0, suppressed = 0;
  VALGRIND_COUNT_LEAKS(leaked, dubious, reachable, suppressed);
  out[0] = leaked, out[1] = dubious, out[2] = reachable, out[3] = suppressed;
  VALGRIND_COUNT_LEAK_BLOCKS(leaked, dubious, reachable, suppressed);
  out[4] = leaked, out[5] = dubious, out[6] = reachable, out[7] = suppressed;
}

/* Bytes in use of the C allocator, mapped blocks included; 0 where it does not tell (musl). */
EXPORT size_t leakgrid_heap(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#elif defined(__GLIBC__)
  struct mallinfo info = mallinfo(); /* int fields that wrap: right below 4 GiB */
  return (size_t)(unsigned)info.uordblks + (size_t)(unsigned)info.hblkhd;
#else
  return 0;
#endif
}

/* The volatile store keeps the allocation; overwriting it loses the only pointer to it. Several
 * blocks, because a copy of the last one's address may stay in a register or on the stack, where
 * memcheck takes it for a pointer. */
#define LOSE(expression)                  \
  for (int i = 0; i < 8; i++) {           \
    void *volatile lost = (expression);   \
    lost = NULL;                          \
    (void)lost;                           \
  }

CANARY void leakgrid_canary_malloc(void) { LOSE(malloc(72)); }

CANARY void leakgrid_canary_object(void *(*allocate)(size_t)) { LOSE(allocate(72)); }

CANARY void leakgrid_canary_rust(void *(*allocate)(size_t, size_t)) { LOSE(allocate(72, 8)); }

/* Overwrite what the canaries left on the stack, where memcheck would take it for a pointer. */
CANARY void leakgrid_canary_wipe(void) {
  volatile char dirt[4096];
  for (size_t i = 0; i < sizeof dirt; i++) dirt[i] = 0;
}

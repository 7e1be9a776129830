/* The heap's size by what is handed out, for LD_PRELOAD: bytes of all blocks that were allocated and
 * not yet freed. glibc's own sum (mallinfo) is what is not on its lists of free chunks; where threads
 * come and go it creeps up although no block stays. */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

#if !defined(__GLIBC__)
#error "only glibc has these entry points"
#endif

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define HEADER sizeof(size_t) /* of each chunk, in front of what is usable (malloc.c) */

static atomic_size_t in_use;

size_t leakgrid_heap_in_use(void) { return atomic_load_explicit(&in_use, memory_order_relaxed); }

static void *taken(void *block) {
  if (block)
    atomic_fetch_add_explicit(&in_use, malloc_usable_size(block) + HEADER, memory_order_relaxed);
  return block;
}

static size_t size_of(void *block) { return block ? malloc_usable_size(block) + HEADER : 0; }

static void given_back(size_t size) {
  atomic_fetch_sub_explicit(&in_use, size, memory_order_relaxed);
}

void *malloc(size_t size) { return taken(__libc_malloc(size)); }

void *calloc(size_t number, size_t size) { return taken(__libc_calloc(number, size)); }

void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) || alignment & (alignment - 1) || !alignment) return EINVAL;
  void *block = memalign(alignment, size);
  if (!block) return ENOMEM;
  *place = block;
  return 0;
}

void *realloc(void *block, size_t size) {
  size_t before = size_of(block);
  void *moved = __libc_realloc(block, size);
  if (moved || !size) given_back(before);
  return taken(moved);
}

void free(void *block) {
  given_back(size_of(block));
  __libc_free(block);
}

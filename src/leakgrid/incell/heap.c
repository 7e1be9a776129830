/* The heap's size by what is handed out, for LD_PRELOAD: bytes of all blocks that were allocated and
 * not yet freed. glibc's own sum (mallinfo) is what is not on its lists of free chunks; where threads
 * come and go it creeps up although no block stays. */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GLIBC__)
#error "only glibc has these entry points"
#endif

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define HEADER sizeof(size_t)        /* of each chunk, in front of what is usable (malloc.c) */
#define LEAST (4 * sizeof(size_t))   /* of a chunk: malloc.c, MINSIZE */

static atomic_size_t in_use;
static atomic_int wiping;

size_t leakgrid_heap_in_use(void) { return atomic_load_explicit(&in_use, memory_order_relaxed); }

/* Whether blocks are cleared when they are freed, so that no address in them outlives them. */
void leakgrid_wipe(int on) { atomic_store_explicit(&wiping, on, memory_order_relaxed); }

/* As much as fills a chunk of whole LEASTs. A rest that is less than a chunk is handed out with the
 * block before it, so a block's size would depend on what was free; then there are no such rests. */
static size_t whole(size_t size) {
  if (size > PTRDIFF_MAX) return size; /* glibc refuses it */
  return (size + HEADER + LEAST - 1) / LEAST * LEAST - HEADER;
}

static void *taken(void *block) {
  if (block)
    atomic_fetch_add_explicit(&in_use, malloc_usable_size(block) + HEADER, memory_order_relaxed);
  return block;
}

static size_t size_of(void *block) { return block ? malloc_usable_size(block) + HEADER : 0; }

static void given_back(size_t size) {
  atomic_fetch_sub_explicit(&in_use, size, memory_order_relaxed);
}

void *malloc(size_t size) { return taken(__libc_malloc(whole(size))); }

void *calloc(size_t number, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(number, size, &bytes)) return taken(__libc_calloc(number, size));
  return taken(__libc_calloc(1, whole(bytes)));
}

void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, whole(size))); }

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
  void *moved = __libc_realloc(block, size ? whole(size) : 0);
  if (moved || !size) given_back(before);
  return taken(moved);
}

void free(void *block) {
  size_t size = size_of(block);
  given_back(size);
  if (size && atomic_load_explicit(&wiping, memory_order_relaxed)) memset(block, 0, size - HEADER);
  __libc_free(block);
}

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

#define HEADER sizeof(size_t)     /* of each chunk, in front of what is usable (malloc.c) */
#define STEP (2 * sizeof(size_t)) /* between sizes of chunks */
#define LEAST (2 * STEP)          /* size of a chunk: malloc.c, MINSIZE */
#define KEY ((size_t)0x9E3779B97F4A7C15u)

static atomic_size_t in_use;
static atomic_int wiping;

size_t leakgrid_heap_in_use(void) { return atomic_load_explicit(&in_use, memory_order_relaxed); }

/* Whether blocks are cleared when they are freed, so that no address in them outlives them. */
void leakgrid_wipe(int on) { atomic_store_explicit(&wiping, on, memory_order_relaxed); }

/* What a block of this size occupies, where nothing is handed out with it. */
static size_t chunk(size_t size) {
  size_t whole = (size + HEADER + STEP - 1) / STEP * STEP;
  return whole < LEAST ? LEAST : whole;
}

/* What is asked for instead: room for a word at the block's end, in a chunk of whole LEASTs. A rest
 * that is too small to be a chunk is handed out with the block before it, so what a block occupies
 * would depend on what was free; between such chunks there are no rests. */
static size_t padded(size_t size) {
  if (size > PTRDIFF_MAX - 4 * LEAST) return size; /* glibc refuses it */
  return (size + sizeof(size_t) + HEADER + LEAST - 1) / LEAST * LEAST - HEADER;
}

/* The word at the block's end: what chunk() said, mixed with the block's address. */
static size_t *note_of(void *block) {
  return (size_t *)((char *)block + malloc_usable_size(block)) - 1;
}

static void *taken(void *block, size_t size) {
  if (block) {
    *note_of(block) = chunk(size) ^ (size_t)block ^ KEY;
    atomic_fetch_add_explicit(&in_use, chunk(size), memory_order_relaxed);
  }
  return block;
}

static size_t size_of(void *block) {
  if (!block) return 0;
  size_t noted = *note_of(block) ^ (size_t)block ^ KEY, most = malloc_usable_size(block) + HEADER;
  /* Not one of these blocks, or one that its owner filled to its very end. */
  if (noted % STEP || noted < LEAST || noted > most) return most;
  return noted;
}

static void given_back(size_t size) {
  atomic_fetch_sub_explicit(&in_use, size, memory_order_relaxed);
}

void *malloc(size_t size) { return taken(__libc_malloc(padded(size)), size); }

void *calloc(size_t number, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(number, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return taken(__libc_calloc(1, padded(bytes)), bytes);
}

void *memalign(size_t alignment, size_t size) {
  return taken(__libc_memalign(alignment, padded(size)), size);
}

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
  void *moved = __libc_realloc(block, block && !size ? 0 : padded(size));
  if (moved || !size) given_back(before);
  return taken(moved, size);
}

void free(void *block) {
  given_back(size_of(block));
  if (block && atomic_load_explicit(&wiping, memory_order_relaxed))
    memset(block, 0, malloc_usable_size(block));
  __libc_free(block);
}

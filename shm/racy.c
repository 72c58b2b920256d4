/* racy.c -- reading bytes that another process may be overwriting at this moment.
 *
 * A lock-free reader looks at an item first and learns afterwards whether it was still the item it
 * meant (fkv_still_valid); until then the bytes may be anything. These two functions are the only
 * ones that touch such bytes in bulk. They are never inlined, so the compiler can neither read
 * twice nor move the reads behind the validation, and they are hidden from ThreadSanitizer. */
#include "internal.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FKV_RACY __attribute__((noinline, no_sanitize("thread")))
#endif
#elif defined(__SANITIZE_THREAD__)
#define FKV_RACY __attribute__((noinline, no_sanitize_thread))
#endif
#ifndef FKV_RACY
#define FKV_RACY __attribute__((noinline))
#endif

FKV_RACY void fkv_racy_copy(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
    __asm__ volatile("" ::: "memory");
}

FKV_RACY bool fkv_racy_equal(const void *shared, const void *own, size_t size) {
    bool equal = memcmp(shared, own, size) == 0;
    __asm__ volatile("" ::: "memory");
    return equal;
}

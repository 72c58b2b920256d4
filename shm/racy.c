/* racy.c -- reading bytes that another process may be overwriting at this moment.
 *
 * A lock-free reader looks at an item first and learns afterwards whether it was still the item it
 * meant (fkv_still_valid); until then the bytes may be anything. These functions and fkv_racy_word
 * are the only ones that touch such bytes. They are never inlined, so the compiler can neither read
 * twice nor move the reads behind the validation.
 *
 * Each is a race that is meant, and hidden from ThreadSanitizer: by the attribute, and by reading
 * byte by byte, for its memcpy and memcmp look at what they are given. */
#include "internal.h"

#ifdef FKV_THREAD_SANITIZER

FKV_RACY void fkv_racy_copy(void *to, const void *from, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
}

FKV_RACY bool fkv_racy_equal(const void *shared, const void *own, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (((const volatile uint8_t *)shared)[i] != ((const uint8_t *)own)[i])
            return false;
    return true;
}

#else

FKV_RACY void fkv_racy_copy(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
    __asm__ volatile("" ::: "memory");
}

FKV_RACY bool fkv_racy_equal(const void *shared, const void *own, size_t size) {
    bool equal = memcmp(shared, own, size) == 0;
    __asm__ volatile("" ::: "memory");
    return equal;
}

#endif

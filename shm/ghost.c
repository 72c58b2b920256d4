/* ghost.c -- keys that were evicted a little while ago: lossy fingerprints, in fixed memory.
 *
 * A key that comes back while its ghost is here was evicted too early, and goes straight to the
 * main queue (J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023). Each
 * line is a ring of its own, so a ghost stays for about as many evictions as there are ghosts. */
#include "internal.h"

static fkv_ghost_line *line_of(const fkv_table *table, uint64_t hash) {
    const fkv_geometry *g = &table->geometry;
    uint64_t lines = g->ghost_bytes / sizeof(fkv_ghost_line);
    if (!atomic_load_explicit(&table->header->ghosts_reserved, memory_order_acquire))
        return NULL;
    return (fkv_ghost_line *)(table->base + g->ghosts_off) + ((hash >> 32) * lines >> 32);
}

/* The hash's low bits: those that choose the line are the high ones. */
static uint16_t fingerprint_of(uint64_t hash) {
    uint16_t bits = (uint16_t)hash;
    return bits != 0 ? bits : 1;
}

/* Remembers a key that is evicted. */
void fkv_ghost_note(fkv_table *table, uint64_t hash) {
    fkv_ghost_line *line = line_of(table, hash);
    if (line == NULL)
        return;
    uint16_t at = atomic_load_explicit(&line->next, memory_order_relaxed);
    atomic_store_explicit(&line->fingerprints[at % FKV_GHOSTS], fingerprint_of(hash),
                          memory_order_relaxed);
    atomic_store_explicit(&line->next, (uint16_t)(at + 1), memory_order_relaxed);
}

/* Whether the key was evicted lately; it is then no ghost any more. */
bool fkv_ghost_take(fkv_table *table, uint64_t hash) {
    fkv_ghost_line *line = line_of(table, hash);
    uint16_t fingerprint = fingerprint_of(hash);
    for (unsigned i = 0; line != NULL && i < FKV_GHOSTS; i++)
        if (atomic_load_explicit(&line->fingerprints[i], memory_order_relaxed) == fingerprint) {
            atomic_store_explicit(&line->fingerprints[i], 0, memory_order_relaxed);
            fkv_count_up(table->own, FKV_COUNT_ghost_hits, 1);
            return true;
        }
    return false;
}

/* check.c -- walks the whole object and names the first invariant that does not hold.
 *
 * Runs under every lock, so that what it reads stands still; it changes nothing but what repair
 * would. The order is from the outside in: memory, segments, partitions, slots, items. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "internal.h"

typedef struct checker {
    fkv_table *table;
    char *text;
    size_t text_size;
} checker;

__attribute__((format(printf, 2, 3))) static bool broken(checker *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(c->text, c->text_size, format, args);
    va_end(args);
    return false;
}

#define LLU(n) ((unsigned long long)(n))

/* ---- memory and segments -------------------------------------------------------------------- */

static uint64_t charged_bytes(const fkv_table *table) {
    struct stat facts;
    return fstat(table->fd, &facts) == 0 ? (uint64_t)facts.st_blocks * 512 : 0;
}

static bool check_memory(checker *c) {
    const fkv_header *h = c->table->header;
    const fkv_geometry *g = &c->table->geometry;
    uint64_t reserved = atomic_load(&h->reserved_bytes);
    uint64_t counted = fkv_bytes_beside_segments(c->table);
    for (uint32_t i = 0; i < g->segment_count; i++)
        if (FKV_STATE_KIND(fkv_state_of(c->table, i)) != FKV_SEGMENT_ABSENT)
            counted += c->table->segment_bytes;
    if (reserved != counted)
        return broken(c, "reserved_bytes is %llu, but segments, index and pages make %llu",
                      LLU(reserved), LLU(counted));
    if (reserved > g->memory_bytes)
        return broken(c, "%llu bytes are reserved, above the limit of %llu", LLU(reserved),
                      LLU(g->memory_bytes));
    if (charged_bytes(c->table) > g->memory_bytes)
        fkv_punch_unreserved_listed(c->table);
    if (charged_bytes(c->table) > g->memory_bytes)
        return broken(c, "the kernel charges the object %llu bytes, above the limit of %llu",
                      LLU(charged_bytes(c->table)), LLU(g->memory_bytes));
    return true;
}

static bool check_tail(checker *c, uint32_t segment, uint64_t state) {
    uint32_t distance = FKV_STATE_LENGTH(state);
    uint64_t first = distance <= segment ? fkv_state_of(c->table, segment - distance) : 0;
    enum fkv_segment_state kind = FKV_STATE_KIND(first);
    if ((kind != FKV_SEGMENT_RUN && kind != FKV_SEGMENT_VICTIM) ||
        FKV_STATE_LENGTH(first) <= distance)
        return broken(c, "segment %u is the tail of a run, but segment %u does not begin one that "
                      "long", segment, segment - distance);
    return true;
}

static bool check_segment(checker *c, uint32_t segment) {
    fkv_table *table = c->table;
    uint64_t state = fkv_state_of(table, segment), append = table->heads[segment].append;
    enum fkv_segment_state kind = FKV_STATE_KIND(state);
    unsigned owner = FKV_STATE_OWNER(state);
    if (kind > FKV_SEGMENT_VICTIM)
        return broken(c, "segment %u is in state %u, which does not exist", segment, kind);
    if (owner > FKV_ENTRIES)
        return broken(c, "segment %u belongs to entry %u, which does not exist", segment, owner);
    if (owner != 0 && FKV_IDENTITY_ROLE(atomic_load(&table->entries[owner - 1].identity)) == 0 &&
        fkv_state_of(table, segment) == state) /* else it was closed by one that detaches */
        return broken(c, "segment %u belongs to participant entry %u, which is free", segment,
                      owner - 1);
    if (kind == FKV_SEGMENT_TAIL)
        return check_tail(c, segment, state);
    if (kind == FKV_SEGMENT_CLOSED && table->heads[segment].walked > append)
        return broken(c, "segment %u says %u bytes were walked, but %llu were appended", segment,
                      table->heads[segment].walked, LLU(append));
    if (kind == FKV_SEGMENT_CLOSED && append > table->segment_bytes)
        return broken(c, "segment %u says %llu bytes were appended, but holds %llu", segment,
                      LLU(append), LLU(table->segment_bytes));
    for (uint64_t at = 0; kind == FKV_SEGMENT_CLOSED && at < append;) {
        const fkv_item *item =
            (const fkv_item *)(table->base + fkv_segment_offset(table, segment) + at);
        if (at + fkv_item_size(item) > append)
            return broken(c, "segment %u: the item at byte %llu reaches beyond the %llu appended",
                          segment, LLU(at), LLU(append));
        at += fkv_item_size(item);
    }
    return true;
}

static bool check_segments(checker *c) {
    uint32_t free = 0;
    for (uint32_t i = 0; i < c->table->geometry.segment_count; i++) {
        if (!check_segment(c, i))
            return false;
        free += FKV_STATE_KIND(fkv_state_of(c->table, i)) == FKV_SEGMENT_FREE;
    }
    if (free != atomic_load(&c->table->header->free_segments))
        return broken(c, "free_segments is %u, but %u segments are free",
                      atomic_load(&c->table->header->free_segments), free);
    return true;
}

/* ---- slots and items ------------------------------------------------------------------------- */

typedef struct slot_place {
    uint32_t partition, page, bucket, index;
} slot_place;

static bool broken_slot(checker *c, slot_place at, const char *what) {
    return broken(c, "partition %u, page %u, bucket %u, slot %u: %s", at.partition, at.page,
                  at.bucket, at.index, what);
}

/* Whether the segment says that it has something which lasts as long as the item. */
static bool is_covered(const fkv_head *head, const fkv_item *item) {
    int64_t expires = fkv_item_expiry(item);
    return atomic_load(&head->expires_max_ms) >= (expires == 0 ? INT64_MAX : expires);
}

static const char *item_fault(const fkv_table *table, uint64_t slot) {
    uint64_t offset = fkv_slot_offset(slot);
    if (!fkv_in_segments(table, offset))
        return "names a place outside the segments";
    uint32_t segment = fkv_segment_of(table, offset);
    enum fkv_segment_state kind = FKV_STATE_KIND(fkv_state_of(table, segment));
    const fkv_item *item = fkv_slot_item(table, slot);
    if (kind < FKV_SEGMENT_OPEN || kind == FKV_SEGMENT_TAIL)
        return "names an item in a segment that is free or the tail of a run";
    if (item == NULL)
        return "names an item that reaches beyond its segment";
    if (kind != FKV_SEGMENT_RUN &&
        offset + fkv_item_size(item) >
            fkv_segment_offset(table, segment) + atomic_load(&table->heads[segment].append))
        return "names an item that was never appended";
    if (kind != FKV_SEGMENT_RUN &&
        offset - fkv_segment_offset(table, segment) < atomic_load(&table->heads[segment].walked))
        return "names an item that reclaim has passed by";
    if (!is_covered(&table->heads[segment], item))
        return "names an item that expires later than its segment says";
    if (item->key_size == 0 || (item->flags & FKV_ITEM_INTENT))
        return "names something without a key";
    if (item->database != FKV_SLOT_DATABASE(slot))
        return "its database is not its item's";
    if (!(slot & FKV_SLOT_EXPIRES) != !(item->flags & FKV_ITEM_EXPIRES))
        return "its expiry flag is not its item's";
    return NULL;
}

static bool check_slot(checker *c, slot_place at, _Atomic uint64_t *slot_at) {
    fkv_table *table = c->table;
    uint64_t slot = atomic_load(slot_at);
    const char *fault = item_fault(table, slot);
    if (fault != NULL)
        return broken_slot(c, at, fault);
    const fkv_item *item = (const fkv_item *)(table->base + fkv_slot_offset(slot));
    fkv_key key = fkv_key_of(table, item);
    if (((slot ^ fkv_slot_match(&key)) & FKV_SLOT_MATCH_MASK) != 0)
        return broken_slot(c, at, "its tag is not its key's");
    if (fkv_partition_of(table, key.hash) != &table->partitions[at.partition])
        return broken_slot(c, at, "its key belongs to another partition");
    fkv_found found;
    if (!fkv_search_locked(table, &key, &found))
        return broken_slot(c, at, "a search for its key does not find it");
    if (found.slot_at != slot_at)
        return broken_slot(c, at, "its key is there twice");
    return true;
}

typedef struct counts {
    uint32_t used, keys[FKV_DATABASES], expiring[FKV_DATABASES];
    int64_t expires_max_ms;
} counts;

static bool check_page(checker *c, uint32_t partition, uint32_t page_index, counts *total) {
    fkv_page *page = fkv_index_page(c->table, &c->table->partitions[partition], page_index);
    int64_t due_ms = 0;
    for (uint32_t b = 0; b < FKV_PAGE_BUCKETS; b++)
        for (uint32_t i = 0; i < FKV_BUCKET_SLOTS; i++) {
            slot_place at = {partition, page_index, b, i};
            uint64_t slot = atomic_load(&page->buckets[b].slots[i]);
            if (slot == 0)
                continue;
            if (!check_slot(c, at, &page->buckets[b].slots[i]))
                return false;
            total->used++;
            total->keys[FKV_SLOT_DATABASE(slot)]++;
            total->expiring[FKV_SLOT_DATABASE(slot)] += (slot & FKV_SLOT_EXPIRES) != 0;
            int64_t expires = fkv_item_expiry(fkv_slot_item(c->table, slot));
            due_ms = fkv_sooner(due_ms, expires);
            if (expires > total->expires_max_ms)
                total->expires_max_ms = expires;
        }
    int64_t said_ms = atomic_load(fkv_due_of(c->table, page));
    if (due_ms != 0 && fkv_sooner(due_ms, said_ms) != said_ms)
        return broken(c, "partition %u, page %u: a key expires at %lld ms, but the page is due at "
                      "%lld", partition, page_index, (long long)due_ms, (long long)said_ms);
    return true;
}

static bool check_counts(checker *c, uint32_t index, const counts *total) {
    const fkv_partition *p = &c->table->partitions[index];
    if (p->used != total->used)
        return broken(c, "partition %u: %u slots are used, but it counts %u", index, total->used,
                      p->used);
    if (p->expires_max_ms < total->expires_max_ms)
        return broken(c, "partition %u: a key expires at %lld ms, but it says all do by "
                      "%lld", index, (long long)total->expires_max_ms,
                      (long long)p->expires_max_ms);
    for (unsigned d = 0; d < FKV_DATABASES; d++) {
        if (p->keys[d] != total->keys[d])
            return broken(c, "partition %u: database %u has %u keys, but it counts %u", index, d,
                          total->keys[d], p->keys[d]);
        if (p->expiring[d] != total->expiring[d])
            return broken(c, "partition %u: database %u has %u keys with an expiry, but it counts "
                          "%u", index, d, total->expiring[d], p->expiring[d]);
    }
    return true;
}

static bool check_partition(checker *c, uint32_t index) {
    const fkv_partition *p = &c->table->partitions[index];
    uint64_t shape = atomic_load(&p->shape);
    uint64_t bytes = fkv_page_count(c->table, shape) * sizeof(fkv_page);
    counts total = {0};
    if (FKV_SHAPE_BITS(shape) > c->table->geometry.page_bits_max)
        return broken(c, "partition %u: %u page bits do not fit its range", index,
                      FKV_SHAPE_BITS(shape));
    if (bytes > atomic_load(&p->index_bytes))
        return broken(c, "partition %u uses %llu bytes of index but reserved %llu", index,
                      LLU(bytes), LLU(p->index_bytes));
    for (uint32_t page = 0; page < fkv_page_count(c->table, shape); page++)
        if (!check_page(c, index, page, &total))
            return false;
    return check_counts(c, index, &total);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static fkv_status check_locked(checker *c) {
    bool whole = check_memory(c) && check_segments(c);
    for (uint32_t i = 0; whole && i < c->table->geometry.partition_count; i++)
        whole = check_partition(c, i);
    return whole ? FKV_OK : FKV_CORRUPT;
}

static fkv_status check_ready(checker *c) {
    fkv_status status = fkv_lock_all(c->table);
    if (status != FKV_OK)
        return status;
    status = fkv_list_lock(c->table);
    if (status == FKV_OK) {
        status = check_locked(c);
        fkv_list_unlock(c->table);
    }
    fkv_unlock_all(c->table);
    return status;
}

fkv_status fkv_check(fkv_table *table, char *text, size_t text_size) {
    checker c = {table, text, text_size};
    text[0] = 0;
    fkv_repair(table);
    fkv_status status = fkv_await_all(table);
    if (status == FKV_OK)
        status = fkv_write_begin(table);
    if (status == FKV_OK) {
        void *begun = fkv_wait_begin(table); /* so long a walk counts as a wait */
        status = check_ready(&c);
        fkv_wait_end(table, begun);
        fkv_write_end(table);
    }
    if (status != FKV_OK && text[0] == 0)
        snprintf(text, text_size, "%s", fkv_status_text(status));
    return status;
}

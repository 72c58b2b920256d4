#!/usr/bin/env bash
# Negative controls: breaks the table in one place at a time, and expects the tests to notice.
#   mutants.sh DIR      DIR holds the objects of the plain build
# A mutant is one file changed by sed. One that changes nothing, or that no test notices, is a failure:
# then the tests prove less than they say.
set -u
cd "$(dirname "$0")" || exit 2
objects=$1
made=$objects/mutants
mkdir -p "$made"
survived=0

# mutant NAME FILE TESTS SED: the tests with such parts in their names must fail when FILE is changed.
mutant() {
    local name=$1 file=$2 tests=$3 change=$4 others
    sed -E "$change" "../$file.c" > "$made/$file.c"
    if cmp -s "../$file.c" "$made/$file.c"; then
        echo "STALE   $name: its change no longer finds its place in $file.c"
        survived=1
        return
    fi
    mapfile -t others < <(find "$objects" -maxdepth 1 -name '*.o' ! -name "$file.o")
    # shellcheck disable=SC2086 # several words each
    if ! $CC $CFLAGS -w -c -o "$made/$file.o" "$made/$file.c" ||
        ! $CC $CFLAGS $LINK -o "$made/tests" "${others[@]}" "$made/$file.o"; then
        echo "BROKEN  $name: does not compile"
        survived=1
    elif DEADLINE=20 "$made/tests" $tests > "$made/$name.log" 2>&1; then
        echo "MISSED  $name: no test of \"$tests\" has noticed"
        survived=1
    else
        echo "caught  $name: $(grep -A1 ^FAILED "$made/$name.log" | sed -n '2s/^ *//p')"
    fi
}

# within FUNCTION SED: the change, within one function.
within() {
    echo "/^[a-z].*[ *]$1\(/,/^\}/ { $2 }"
}

mutant publishes_before_it_writes write everywhere_in_an_overwrite "$(within set_composed '
    /value_size > 0/d
    /memcpy/d
    s/return lock_and_set\(table, request\);/status = lock_and_set(table, request);\
    if (request->item) memcpy((char *)fkv_item_value(request->item), value, value_size);\
    return status;/')"
mutant skips_the_lock lock "everywhere_in_a_set_of_a_new_key" "$(within fkv_partition_lock '
    s/fkv_lock_take\(.*\)/((void)table, FKV_OK)/')"
mutant takes_over_without_mending lock "everywhere_in_a_set_of_a_new_key" "$(within fkv_lock_take_over '
    /mend\(table/d')"
mutant never_takes_over participant "waiters_go_on" "$(within fkv_owner_alive 's/return false;/return true;/
    s/return FKV_IDENTITY_ROLE.*/return true || (/; s/^( *)FKV_IDENTITY_GENERATION\(identity\) ==.*/\1false);/')"
mutant commits_without_the_word commit everywhere_in_set_many "$(within fkv_commit_all_locked '
    /commit point/d')"
mutant commits_before_the_intent_is_written commit everywhere_in_set_many "$(within fkv_commit_all_locked '
    /commit point/d
    s/^(    fkv_change \*changes.*)/\1\
    fkv_set_intent(table, commit->intent);/')"
mutant removes_before_it_commits rename everywhere_in_a_rename "$(within commit_locked '
    s/^(        fkv_commit_all_locked.*)/{ fkv_remove_locked(table, t->from, \&now); t->commit.count = 1; \1 }/')"
mutant reads_in_the_middle_of_a_commit index everywhere_in_set_many "$(within fkv_search_racy '
    s/found->shape & FKV_SHAPE_COMMIT/0/')"
mutant publishes_a_growth_before_the_copy index everywhere_in_a_set_that_doubles "$(within fkv_grow_locked '
    /atomic_store_explicit\(&partition->shape/d
    s/^(    for \(uint32_t i = 0; i < pages; i\+\+\) \{)/    atomic_store(\&partition->shape, shape + FKV_SHAPE_STEP + 1);\
\1/')"
mutant touches_before_it_reserves segment everywhere_in_a_set_that_takes "$(within fkv_reserve_listed '
    s/result = fallocate\(.*/result = 0;/')"
mutant frees_before_it_moves reclaim "everywhere_in_reclaim" "$(within work_on '
    s/status = fkv_empty_some\(.*\);/;/')"
mutant passes_items_by_before_it_moves_them move "everywhere_in_an_eviction" "$(within fkv_empty_some '
    s/^(        for \(size_t i = 0;.*)/        atomic_store(\&head->walked, (uint32_t)(at - start));\
\1/')"
mutant evicts_without_a_bound_on_copies evict "all_keys_are_in_use" "$(within fkv_copy_most '
    s/return .*/return UINT64_MAX + 0 * sustained;/')"
mutant has_places_for_no_more_than_fits object "none_of_the_others_could_move" "$(within lay_out '
    s/= FKV_PLACES \* segments/= segments/')"
mutant moves_no_run slide "scattered_runs" "$(within best_move '
    s/kind == RUN/kind == WALL/')"
mutant empties_no_stretch compact "scattered_segments" "$(within cheapest '
    s/can_empty\(table, &s\)/(s.move_bytes == 0 \&\& can_empty(table, \&s))/')"
mutant forgets_when_a_page_is_due index "not_counted" "$(within fkv_slot_store_locked '
    /fkv_note_due_locked/d')"
mutant notes_too_late_that_a_page_is_due index everywhere_in_a_set_that_expires "$(within fkv_slot_store_locked '
    /fkv_note_due_locked/d
    s/^(    count_bytes\(table, slot, 1\);)/    if (slot \& FKV_SLOT_EXPIRES) fkv_note_due_locked(table, partition, slot_at, slot);\
\1/')"
mutant forgets_what_a_growth_moves index "so_many_pages" "$(within fkv_recount_locked '
    s/total.expires_max_ms, memory/0, memory/')"
mutant says_that_a_page_is_swept_first expiry everywhere_in_a_sweep "$(within sweep_page_locked '
    s/^(    int64_t due_ms = 0;)/\1 atomic_store(fkv_due_of(table, page), 0);/')"
mutant forgets_what_it_evicted evict "comes_back_soon" "$(within fkv_fate_of 's/\.ghost = small/0/')"
mutant leaves_the_generation segment reader_is_not_fooled "$(within free_one_listed '/generation/d')"
mutant leaves_the_segments_of_the_dead repair everywhere_in_an_overwrite "$(within repair_entry '
    /fkv_adopt_segments_listed/d')"
mutant leaves_what_is_not_accounted_for segment everywhere_in_a_set_that_takes "$(within fkv_recount_list_listed '
    /fkv_punch_unreserved_listed/d')"
mutant says_magic_first object everywhere_in_create "$(within init_regions '
    s/^(    fkv_header \*h = table->header;)/\1 h->magic = FKV_MAGIC;/')"

exit $survived

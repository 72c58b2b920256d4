"""Memory is given back only when nobody has wanted it for a while."""

from conftest import wait_until

from forkkv import _core
from forkkv.quiet import LOOKS, Quiet


def write(table: _core.Table, megabytes: int) -> None:
    for number in range(megabytes * 16):
        table.set(b"k%d" % (number % 8), bytes(60_000))


def test_a_table_is_quiet_once_nothing_was_written_for_some_looks(table: _core.Table) -> None:
    quiet = Quiet(table)
    assert [quiet.is_due(float(second)) for second in range(1, LOOKS + 2)] == (
        [False] * (LOOKS - 1) + [True, True]
    )


def test_it_is_asked_for_once_per_look(table: _core.Table) -> None:
    quiet = Quiet(table)
    for second in range(1, LOOKS + 1):
        quiet.is_due(float(second))
    assert [quiet.is_due(LOOKS + 0.2), quiet.is_due(LOOKS + 1.0)] == [False, True]


def test_whoever_writes_ends_it(table: _core.Table) -> None:
    quiet = Quiet(table)
    for second in range(1, LOOKS + 1):
        quiet.is_due(float(second))
    write(table, 1)
    assert not quiet.is_due(LOOKS + 1.0)
    assert not quiet.is_due(LOOKS + 2.0)


def test_what_moved_for_it_does_not_count(table: _core.Table) -> None:
    quiet = Quiet(table)
    for second in range(1, LOOKS + 1):
        quiet.is_due(float(second))
    write(table, 1)
    quiet.restart()
    assert quiet.is_due(LOOKS + 1.0)


def test_trim_gives_back_what_deleted_keys_held(table: _core.Table) -> None:
    write(table, 3)
    for number in range(8):
        table.delete(b"k%d" % number)
    before = table.facts()["memory_used_bytes"]
    wait_until(lambda: not table.shrink(), "the table to be small")
    assert table.facts()["memory_used_bytes"] < before / 2

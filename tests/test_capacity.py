"""Without a limit given a table takes what /dev/shm has room for, and says why."""

import logging
import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest

import forkkv
from forkkv import _core, capacity, objects
from forkkv.capacity import DEFAULT_MEMORY, MIB, fitting_memory
from forkkv.claim import adopt_table, create_table, release_table
from forkkv.config import Config
from forkkv.errors import ServeError

Shrink = Callable[..., None]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Shrink:
    """room(free, total) makes /dev/shm say that it has so many bytes; total 0: no limit."""

    def shrink(free: int, total: int = 64 * MIB) -> None:
        facts = SimpleNamespace(f_frsize=4096, f_blocks=total // 4096, f_bavail=free // 4096)
        monkeypatch.setattr(capacity.os, "statvfs", lambda path: facts)

    return shrink


@pytest.mark.parametrize(
    ("free", "total", "memory"),
    [
        (64 * MIB, 64 * MIB, 48 * MIB),
        (63 * MIB, 64 * MIB, 47 * MIB),
        (1 << 40, 1 << 40, DEFAULT_MEMORY),
        (0, 0, DEFAULT_MEMORY),
        (5 * MIB, 64 * MIB, 4 * MIB),
        (4 * MIB, 4 * MIB, 4 * MIB),
    ],
)
def test_three_quarters_of_what_is_free_up_to_the_default(
    room: Shrink, free: int, total: int, memory: int
) -> None:
    room(free, total)
    assert fitting_memory() == memory


def test_where_there_is_no_shared_memory_to_ask_the_default_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capacity, "SHARED_MEMORY", "/nowhere")
    assert fitting_memory() == DEFAULT_MEMORY


def test_too_little_for_any_table_says_how_much_and_what_to_do(
    room: Shrink, table_name: str
) -> None:
    room(3 * MIB)
    said = "has 3.0 MiB free of 64.0 MiB.*takes 4.0 MiB.*df /dev/shm.*--shm-size"
    with pytest.raises(forkkv.TableFull, match=said):
        forkkv.attach(table_name, create=True)
    with pytest.raises(ServeError, match=said):
        create_table(Config(name=table_name))
    assert not objects.exists(table_name)


def test_a_program_gets_what_fits(room: Shrink, table_name: str) -> None:
    room(20 * MIB)
    with forkkv.attach(table_name, create=True) as table:
        assert table.facts()["memory_limit_bytes"] == 15 * MIB


def test_a_table_that_has_filled_shared_memory_can_still_be_attached(
    room: Shrink, table_name: str
) -> None:
    objects.create(table_name, _core.MEMORY_MIN).close()
    room(0)
    with forkkv.attach(table_name, create=True) as table:
        assert table.facts()["memory_limit_bytes"] == _core.MEMORY_MIN


def test_a_server_says_why_it_takes_less_than_usual(
    room: Shrink, table_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    room(64 * MIB)
    with caplog.at_level(logging.INFO):
        table = create_table(Config(name=table_name))
    assert table.facts()["memory_limit_bytes"] == 48 * MIB
    release_table(table, table_name, keep=False)
    (line,) = caplog.messages
    assert line.startswith("memory 48.0 MiB and not 256.0 MiB, because /dev/shm has 64.0 MiB free")
    assert "--shm-size" in line


def test_a_server_says_nothing_of_memory_where_there_is_enough(
    room: Shrink, table_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    room(1 << 34, 1 << 34)
    with caplog.at_level(logging.INFO):
        release_table(create_table(Config(name=table_name)), table_name, keep=False)
    assert caplog.messages == []


def test_a_limit_that_shared_memory_can_never_hold_is_warned_of(
    room: Shrink, table_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    room(60 * MIB)
    config = Config(name=table_name, memory=65 * MIB)
    release_table(create_table(config), table_name, keep=True)
    adopted = adopt_table(config)
    assert adopted is not None
    adopted.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "memory 65.0 MiB can never be used, because /dev/shm has 60.0 MiB" in caplog.messages[0]


def test_a_limit_that_fits_only_when_others_leave_is_no_reason_to_warn(
    room: Shrink, table_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    room(10 * MIB)
    release_table(create_table(Config(name=table_name, memory=64 * MIB)), table_name, keep=False)
    assert caplog.messages == []


def test_the_kernel_is_asked_about_the_real_one() -> None:
    facts, room = os.statvfs("/dev/shm"), capacity.shared_memory_room()
    assert room is None or room.total_bytes == facts.f_blocks * facts.f_frsize

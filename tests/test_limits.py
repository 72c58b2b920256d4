"""What one connection may use of the network door, and what happens when it wants more."""

from collections.abc import Callable, Iterator

import pytest
from door import Door, pack

from forkkv import _core

LimitedDoor = Callable[..., Door]


@pytest.fixture
def limited_door(table_name: str) -> Iterator[LimitedDoor]:
    """limited_door(**limits) opens a door with these limits."""
    doors: list[Door] = []

    def start(**limits: int) -> Door:
        doors.append(Door(table_name, _core.Limits(**limits)))  # type: ignore[typeddict-item]
        return doors[0]

    yield start
    doors[0].close()


def test_an_argument_above_the_limit_is_a_protocol_error(limited_door: LimitedDoor) -> None:
    door = limited_door(bulk_length=100)
    ours = door.connect()
    assert ours.call("ECHO", "x" * 100).startswith(b"$100")
    ours.send(pack("ECHO", "x" * 101))
    assert ours.until_closed() == b"-ERR Protocol error: invalid bulk length\r\n"


def test_an_unfinished_request_above_the_limit_ends_the_connection(
    limited_door: LimitedDoor,
) -> None:
    door = limited_door(query_buffer=30_000)
    ours = door.connect()
    assert ours.call("SET", "a", "x" * 29_000) == b"+OK\r\n"
    ours.send(b"*100000\r\n" + b"$5\r\nabcde\r\n" * 10_000)
    assert ours.until_closed() == b""
    assert door.closed == [b"query limit"]
    assert door.counts()["query_limit_closed"] == 1


def test_a_reply_above_the_limit_ends_the_connection(limited_door: LimitedDoor) -> None:
    door = limited_door(reply_buffer=1_000_000)
    ours = door.connect()
    ours.call("SET", "a", "x" * 400_000)
    assert len(ours.call("MGET", "a", "a")) > 800_000
    ours.send(pack("MGET", "a", "a", "a"))
    assert ours.until_closed() == b""
    assert door.closed == [b"reply limit"]
    assert door.counts()["reply_limit_closed"] == 1


def test_a_slow_reader_makes_its_commands_wait_and_nobody_elses(limited_door: LimitedDoor) -> None:
    door = limited_door(pipeline_paused=200_000)
    slow, other = door.connect(), door.connect()
    slow.call("SET", "a", "x" * 100_000)
    slow.send(pack("GET", "a") * 300)
    door.wait_until(lambda: door.counts()["write_partial"] > 0)
    for _ in range(10):
        assert other.call("PING") == b"+PONG\r\n"
    assert door.counts()["commands"] < 250
    assert door.server.activity(door.connections[0])[3] < 400_000
    assert slow.replies(300).count(b"$100000\r\n") == 300


def test_limits_that_do_not_exist_are_refused(limited_door: LimitedDoor) -> None:
    door = limited_door()
    with pytest.raises(ValueError, match="query_buffer, bulk_length, reply_buffer"):
        _core.Server(door.table, {"bulk": 1})  # type: ignore[arg-type]

"""The hot commands, end to end: each reply is compared, byte by byte, with that of Redis."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from door import Door, Peer, connect_unix, open_door, pack
from peers import RedisServer

from forkkv import _core

FAR_S = 4102444800  # the year 2100
FAR_MS = FAR_S * 1000
MOST = 2**63 - 1

# Each line is a session on empty databases: commands separated by semicolons.
SESSIONS = (Path(__file__).parent / "data" / "sessions.txt").read_text().splitlines()


def commands_of(session: str) -> list[list[bytes]]:
    """The commands of a session; {far_s} and {far_ms} are a time to come, "" is an empty word."""
    session = session.format(far_s=FAR_S, far_ms=FAR_MS)
    words = [command.split() for command in session.split(";")]
    return [[b"" if word == '""' else word.encode() for word in command] for command in words]


@pytest.fixture(scope="module")
def redis_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Redis server; without one these tests fail: they are about nothing else."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.path
    server.stop()


@pytest.fixture
def theirs(redis_path: Path) -> Iterator[Peer]:
    peer = connect_unix(redis_path)
    assert peer.call("FLUSHALL") == b"+OK\r\n"
    yield peer
    peer.close()


@pytest.fixture
def door(table_name: str) -> Iterator[Door]:
    with open_door(table_name) as door:
        yield door


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("session", SESSIONS)
def test_replies_are_those_of_redis(door: Door, theirs: Peer, session: str, protocol: int) -> None:
    ours = door.connect()
    if protocol == 3:
        theirs.call("HELLO", 3)
        door.server.protocol(door.connections[0], 3)
    commands = commands_of(session)
    for command in commands:
        assert ours.call(*command) == theirs.call(*command), command
        if command[0] == b"quit":
            assert ours.until_closed() == theirs.until_closed() == b""
            return


def test_a_pipeline_gets_the_replies_of_single_commands(door: Door, theirs: Peer) -> None:
    commands = [command for line in SESSIONS for command in commands_of(line)]
    commands = [command for command in commands if command[0] not in (b"pttl", b"quit")]
    pipeline = b"".join(pack(*command) for command in commands)
    ours = door.connect()
    for peer in (ours, theirs):
        peer.send(pipeline)
    assert ours.replies(len(commands)) == theirs.replies(len(commands))


RANDOM_WORDS = [
    *("a", "b", "0", "-1", "17", "-100", "1000", str(MOST), "x", "nx", "xx", "gt", "lt", "get"),
    *("ex 1000", "px 1000000", f"exat {FAR_S}", "pxat 1", "keepttl", "persist"),
]
# Two servers' clocks are read at different moments; quit ends the connection.
NOT_RANDOM = ("quit", "select", "pttl", "expiretime", "pexpiretime")
RANDOM_NAMES = [row[0] for row in _core.HOT_COMMANDS if row[0] not in NOT_RANDOM]


def random_command(chance: random.Random) -> list[bytes]:
    words = [chance.choice(RANDOM_NAMES), chance.choice("abcd")]
    words += chance.choices(RANDOM_WORDS, k=chance.choice([0, 0, 1, 1, 2, 3, 4]))
    return " ".join(words).encode().split()


def test_random_commands_get_the_replies_of_redis(door: Door, theirs: Peer) -> None:
    seed = int(os.environ.get("FORKKV_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"repeat with FORKKV_SEED={seed}")
    chance = random.Random(seed)
    ours = door.connect()
    history: list[list[bytes]] = []
    for _ in range(5000):
        history.append(random_command(chance))
        assert ours.call(*history[-1]) == theirs.call(*history[-1]), history[-8:]


def test_any_bytes_are_keys_and_values(door: Door, theirs: Peer) -> None:
    ours = door.connect()
    every = bytes(range(256))
    for peer in (ours, theirs):
        assert peer.call("SET", every, every * 300) == b"+OK\r\n"
        assert peer.call("GET", every) == b"$76800\r\n" + every * 300 + b"\r\n"
        assert peer.call("MGET", every, b"\r\n", every).count(every) == 600
        assert peer.call("SET", "k" * 65535, "") == b"+OK\r\n"
        assert peer.call("GET", "k" * 65535) == b"$0\r\n\r\n"


def test_what_the_table_cannot_hold_is_refused_and_changes_nothing(door: Door) -> None:
    ours = door.connect()
    ours.call("SET", "a", "kept")
    largest = door.table.facts()["value_max"]
    wrong_key = b"-ERR a key is 1 to 65535 bytes long\r\n"
    for key in (b"", b"k" * 65536):
        for name in ("GET", "DEL", "TTL", "INCR", "TYPE"):
            assert ours.call(name, key) == wrong_key
        assert ours.call("SET", key, "v") == wrong_key
        assert ours.call("EXISTS", "a", key) == wrong_key
        assert ours.call("MSET", "a", "new", key, "v") == wrong_key
        assert ours.call("MGET", "a", key) == wrong_key
    too_big = b"-ERR value exceeds %d bytes, the most this table can hold\r\n" % largest
    assert ours.call("SET", "a", b"x" * (largest + 1)) == too_big
    assert ours.call("APPEND", "a", b"x" * largest) == too_big
    assert ours.call("GET", "a") == b"$4\r\nkept\r\n"


def test_a_full_table_refuses_with_the_error_of_redis(door: Door) -> None:
    ours = door.connect()
    full = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    replies = set()
    for number in range(100):
        replies.add(ours.call("SET", f"key:{number}", b"x" * 300_000))
    assert replies == {b"+OK\r\n", full}
    assert ours.call("DEL", *(f"key:{number}" for number in range(100))) != b":0\r\n"
    assert ours.call("SET", "key:1", b"x" * 300_000) == b"+OK\r\n"


def test_each_command_is_counted_with_its_time_and_its_errors(door: Door) -> None:
    ours = door.connect()
    for words in (["SET", "a", "x"], ["GET", "a"], ["GET", "b"], ["INCR", "a"], ["INCR"], ["NOPE"]):
        ours.call(*words)
    (own,) = door.table.participants()
    rows = {row[0]: own["commands"][i] for i, row in enumerate(_core.HOT_COMMANDS)}
    assert {name: (row[0], row[2]) for name, row in rows.items() if row[0]} == {
        "set": (1, 0),
        "get": (2, 0),
        "incr": (2, 2),
    }
    assert all(row[1] > 0 for row in rows.values() if row[0])
    assert own["counts"]["commands"] == 6
    assert own["counts"]["errors"] == 2


def test_the_table_of_commands_describes_them_as_redis_does(theirs: Peer) -> None:
    for name, arity, flags, first, last, step, summary in _core.HOT_COMMANDS:
        row = theirs.call("COMMAND", "INFO", name)
        wanted = b"*10\r\n$%d\r\n%s\r\n:%d\r\n" % (len(name), name.encode(), arity)
        assert wanted in row
        assert b":%d\r\n:%d\r\n:%d\r\n" % (first, last, step) in row
        assert {b"+" + flag.encode() for flag in flags.split()} <= set(row.split(b"\r\n"))
        assert 0 < len(summary) < 60

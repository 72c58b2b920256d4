"""A key that has expired is not there, through any door, whether it was swept or not.

Nothing sweeps here: there is no keeper.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import wait_until
from door import Door, open_door

import forkkv
from forkkv import commands, keyspace_commands
from forkkv.config import Config
from forkkv.session import Context, Identity

GONE = 0.03  # seconds to live
NIL, NONE, ZERO, ONE = b"$-1\r\n", b":-2\r\n", b":0\r\n", b":1\r\n"
COMMANDS: dict[str, bytes] = {
    "GET k": NIL,
    "GETDEL k": NIL,
    "GETEX k PERSIST": NIL,
    "STRLEN k": ZERO,
    "EXISTS k": ZERO,
    "TYPE k": b"+none\r\n",
    "TTL k": NONE,
    "PTTL k": NONE,
    "EXPIRETIME k": NONE,
    "PEXPIRETIME k": NONE,
    "PERSIST k": ZERO,
    "EXPIRE k 100": ZERO,
    "PEXPIRE k 100000": ZERO,
    "DEL k": ZERO,
    "UNLINK k": ZERO,
    "MGET k": b"*1\r\n" + NIL,
    "RENAME k other": b"-ERR no such key\r\n",
    "RENAMENX k other": b"-ERR no such key\r\n",
    "COPY k other": ZERO,
    "MOVE k 1": ZERO,
    "SET k w XX": NIL,
    "SET k w NX": b"+OK\r\n",
    "SET k w GET": NIL,
    "SETNX k w": ONE,
    "MSETNX k w": ONE,
    "GETSET k w": NIL,
    "INCR k": ONE,
    "INCRBY k 3": b":3\r\n",
    "DECR k": b":-1\r\n",
    "APPEND k w": ONE,
}
IN_PYTHON: dict[str, bytes] = {
    "DBSIZE": ZERO,
    "KEYS *": b"*0\r\n",
    "SCAN 0 COUNT 1000": b"*2\r\n$1\r\n0\r\n*0\r\n",
    "INFO keyspace": b"$12\r\n# Keyspace\r\n\r\n",
    "MEMORY USAGE k": NIL,
    "OBJECT ENCODING k": NIL,
    "OBJECT REFCOUNT k": NIL,
}


def wait_until_gone() -> None:
    end = time.time() + GONE + 0.002
    wait_until(lambda: time.time() > end, "the keys to expire")


@pytest.fixture
def door(table_name: str) -> Iterator[Door]:
    with open_door(table_name) as door:
        yield door


def test_every_command_finds_nothing(door: Door) -> None:
    peer = door.connect()
    milliseconds = round(GONE * 1000)
    for number in range(len(COMMANDS)):
        peer.call("SET", f"k{number}", "5", "PX", milliseconds)
    wait_until_gone()
    assert len(door.table) == 0
    for number, (command, reply) in enumerate(COMMANDS.items()):
        words = [f"k{number}" if word == "k" else word for word in command.split()]
        assert peer.call(*words) == reply, command
    assert door.counts()["expired"] == 0


def in_one_go(steps: commands.Answer) -> bytes:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return bytes(end.value)


def test_every_command_that_python_answers_finds_nothing(door: Door) -> None:
    peer = door.connect()
    identity = Identity(os.getpid(), "run", 0.0)
    context = Context(Config(), identity, door.table, door.server, 0, commands.COUNTED)
    client = context.welcome(door.connections[0])
    door.answers = lambda argv: in_one_go(commands.answer(context, client, argv))
    for number in range(300):
        peer.call("SET", f"k{number or ''}", "5", "PX", round(GONE * 1000))
    wait_until_gone()
    for command, reply in IN_PYTHON.items():
        assert peer.call(*command.split()) == reply, command
    assert door.counts()["expired"] == 0


def test_dbsize_lets_others_be_served_while_it_counts(
    table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyspace_commands, "PIECE_SECONDS", 0.0)
    with forkkv.attach(table_name, create=True, memory="64mb") as table:
        for number in range(3000):
            table[b"k%d" % number] = b"v"
        server: Any = SimpleNamespace(database=lambda connection: 0)
        context = Context(Config(), Identity(1, "run", 0.0), table, server, 0, [])
        steps = keyspace_commands.dbsize(context, context.welcome(1), [])
        next(steps)
        with pytest.raises(StopIteration) as end:
            for _ in range(1000):
                next(steps)
        assert end.value.value == 3000


def test_what_replaces_an_expired_key_does_not_take_over_its_expiry(door: Door) -> None:
    peer = door.connect()
    for key in ("add", "append", "keep"):
        peer.call("SET", key, "5", "PX", round(GONE * 1000))
    wait_until_gone()
    peer.call("INCR", "add")
    peer.call("APPEND", "append", "w")
    peer.call("SET", "keep", "w", "KEEPTTL")
    for key in ("add", "append", "keep"):
        assert peer.call("TTL", key) == b":-1\r\n", key


READS: dict[str, Callable[[forkkv.Table], Any]] = {
    "len": len,
    "bool": bool,
    "in": lambda table: b"k1" in table,
    "get": lambda table: table.get(b"k1"),
    "get_many": lambda table: any(table.get_many([b"k1", b"k2"])),
    "keys": lambda table: list(table),
    "values": lambda table: list(table.values()),
    "items": lambda table: list(table.items()),
    "scan": lambda table: table.scan(0, 1000)[1],
    "count": lambda table: sum(table.count(0)),
    "facts": lambda table: table.facts()["keys"] + table.facts()["expiring"],
    "pop": lambda table: table.pop(b"k1", None),
    "delete": lambda table: table.delete(b"k2"),
    "expire": lambda table: table.expire(b"k3", 100),
    "persist": lambda table: table.persist(b"k4"),
    "memory_usage": lambda table: table.memory_usage(b"k5"),
    "frequency": lambda table: table.frequency(b"k5"),
}


def test_a_program_finds_nothing(table_name: str) -> None:
    with forkkv.attach(table_name, create=True, memory="4mb") as table:
        for number in range(300):
            table.set(b"k%d" % number, b"v", ttl=GONE)
        wait_until_gone()
        assert {name: read(table) for name, read in READS.items() if read(table)} == {}
        with pytest.raises(KeyError):
            table[b"k7"]
        with pytest.raises(KeyError):
            table.ttl(b"k7")
        with pytest.raises(KeyError):
            table.rename(b"k7", b"other")
        with pytest.raises(KeyError):
            table.copy(b"k7", b"other")
        with pytest.raises(KeyError):
            table.popitem()
        assert len(table) == 0
        assert Path(f"/dev/shm/forkkv.{table_name}").exists()


def fill_until(table: forkkv.Table, seconds: float) -> tuple[int, float]:
    """Fills a table with keys that expire so many seconds later: how many, and when."""
    stored, until = 0, time.time() + seconds
    with contextlib.suppress(forkkv.TableFull):
        while time.time() < until:
            table.set(b"old%d" % stored, bytes(1000))
            table.expire_at(b"old%d" % stored, until)
            stored += 1
    return stored, until


def test_a_table_full_of_expired_keys_takes_new_ones_at_once(table_name: str) -> None:
    with forkkv.attach(table_name, create=True, memory="4mb") as table:
        for seconds in (0.4, 2.0, 10.0):  # the machine may be busy
            table.clear()
            stored, until = fill_until(table, seconds)
            if time.time() < until:
                break
        wait_until(lambda: time.time() > until, "the keys to expire")
        for number in range(stored * 3 // 4):
            table.set(b"new%d" % number, bytes(1000))
        assert len(table) == stored * 3 // 4

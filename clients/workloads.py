"""The workloads: what each one sends, and how that goes over the socket, in one table."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat

from .connection import Connection, Reply, pack

ZIPF_EXPONENT = 0.99
DRAW_COUNT = 1000  # keys drawn at once

COUNTER_KEY = b"counter"
HOT_KEY = b"hot"
SESSIONS_KEY = b"sessions"

Commands = Callable[["Keyspace"], Iterator[bytes]]
Exchange = Callable[[Connection, list[bytes]], list[Reply]]


class Keyspace:
    """The keys and the value that a workload uses, and its dice; the same for the same seed.

    `keys` is how many keys there are, `value_bytes` the size of a value, `distribution` either
    "uniform" or "zipf" (key:0 most often).
    """

    def __init__(self, keys: int, value_bytes: int, distribution: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = [b"key:%d" % number for number in range(keys)]
        self.value = (b"forkkv-" * (value_bytes // 7 + 1))[:value_bytes]
        self._weights: list[float] | None = None
        if distribution == "zipf":
            ranks = range(1, keys + 1)
            self._weights = list(accumulate(rank**-ZIPF_EXPONENT for rank in ranks))

    def draw(self) -> Iterator[bytes]:
        """Yield keys at random, for ever."""
        while True:
            yield from self.random.choices(self.names, cum_weights=self._weights, k=DRAW_COUNT)

    def fill(self) -> Iterator[bytes]:
        """Yield a packed SET of every key."""
        return (pack((b"SET", name, self.value)) for name in self.names)


def mix(set_share: float) -> Commands:
    """Return a generator of GET and SET over the keys, `set_share` (0..1) of them SET."""

    def commands(keyspace: Keyspace) -> Iterator[bytes]:
        for key in keyspace.draw():
            yield _get_or_set(keyspace, key, set_share)

    return commands


def _get_or_set(keyspace: Keyspace, key: bytes, set_share: float) -> bytes:
    if keyspace.random.random() < set_share:
        return pack((b"SET", key, keyspace.value))
    return pack((b"GET", key))


def hot_key(keyspace: Keyspace) -> Iterator[bytes]:
    """Yield nine GET to one SET, all of one key."""
    while True:
        yield _get_or_set(keyspace, HOT_KEY, 0.1)


def counter(keyspace: Keyspace) -> Iterator[bytes]:
    """Yield INCR of one key."""
    return repeat(pack((b"INCR", COUNTER_KEY)))


SESSION_COMMANDS = 7


def session(keyspace: Keyspace) -> Iterator[bytes]:
    """Yield the SESSION_COMMANDS commands of a session, session after session."""
    for key in keyspace.draw():
        yield pack((b"PING",))
        yield pack((b"SET", key, keyspace.value))
        yield pack((b"GET", key))
        yield pack((b"GET", b"missing"))
        yield pack((b"INCR", SESSIONS_KEY))
        yield pack((b"DEL", key))
        yield pack((b"QUIT",))


def together(connection: Connection, requests: list[bytes]) -> list[Reply]:
    """Send all requests in one write, then take their replies."""
    connection.send(b"".join(requests))
    return [connection.receive() for _ in requests]


def one_by_one(connection: Connection, requests: list[bytes]) -> list[Reply]:
    """Send each request when the one before is answered."""
    replies = []
    for request in requests:
        connection.send(request)
        replies.append(connection.receive())
    return replies


def byte_by_byte(connection: Connection, requests: list[bytes]) -> list[Reply]:
    """Send all requests a byte at a time, as a badly behaved client does."""
    for byte in b"".join(requests):
        connection.send(bytes((byte,)))
    return [connection.receive() for _ in requests]


@dataclass(frozen=True)
class Workload:
    """A row of the table.

    `commands` yields packed commands, of which `commands_per_operation` make an operation.
    `exchange` sends some and returns their replies. `fresh_connection` opens a connection for
    each step instead of keeping one, `named` gives it the client's name. `counter` is a key whose
    growth is compared with the acknowledged operations.
    """

    name: str
    description: str
    commands: Commands
    exchange: Exchange = together
    commands_per_operation: int = 1
    default_operations: int = 10_000
    fresh_connection: bool = False
    named: bool = True
    counter: bytes | None = None

    @property
    def can_pipeline(self) -> bool:
        """Whether several operations may share a write."""
        return self.exchange is together and not self.fresh_connection


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "session",
            "connect, PING, SET, GET, GET a missing key, INCR, DEL, QUIT, close",
            session,
            exchange=one_by_one,
            commands_per_operation=SESSION_COMMANDS,
            default_operations=1,
            fresh_connection=True,
        ),
        Workload("read-heavy", "95 % GET, 5 % SET", mix(0.05)),
        Workload("write-heavy", "5 % GET, 95 % SET", mix(0.95)),
        Workload("mixed", "50 % GET, 50 % SET", mix(0.5)),
        Workload(
            "churn",
            "as mixed, with a new, unnamed connection for each command",
            mix(0.5),
            default_operations=1000,
            fresh_connection=True,
            named=False,
        ),
        Workload(
            "tiny-writes",
            "as mixed, each request written byte by byte",
            mix(0.5),
            exchange=byte_by_byte,
            default_operations=1000,
        ),
        Workload("hot-key", "90 % GET, 10 % SET, all of one key", hot_key),
        Workload(
            "counter",
            "INCR one key; its growth is checked against the replies",
            counter,
            counter=COUNTER_KEY,
        ),
    )
}

"""Loads that no workload of `forkkv client` makes, each by its name.

Usage: python -m forkkv.perf.proof.driver NAME ARGUMENT... Each runs until it is ended by a signal.
Those that take a PORT speak to 127.0.0.1, those that take a TABLE attach to it.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import forkkv
from forkkv.clients.address import Address
from forkkv.clients.connection import Connection, pack

LINE: Final = b"PING\r\n"
LINES_PER_VISIT: Final = 10
LARGE_BYTES: Final = 50_000
EXPIRING: Final = 20_000  # keys


def connect(port: int) -> socket.socket:
    """A blocking connection."""
    return socket.create_connection(("127.0.0.1", port))


def paced(per_second: float) -> Iterator[None]:
    """Yields so often, for ever."""
    due = time.monotonic()
    while True:
        due = max(due + 1 / per_second, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        yield


def ask(connection: socket.socket, request: bytes = LINE) -> bytes:
    """One request and the first part of its reply, by write and read."""
    os.write(connection.fileno(), request)
    return os.read(connection.fileno(), 1 << 16)


def visit(port: int) -> None:
    """A hundred times a second: connects, asks ten times, and goes."""
    for _ in paced(100):
        with connect(port) as connection:
            for _ in range(LINES_PER_VISIT):
                _whole_line(connection)


def _whole_line(connection: socket.socket) -> None:
    reply = ask(connection)
    while not reply.endswith(b"\r\n"):
        reply += os.read(connection.fileno(), 1 << 16)


def knock(port: int) -> None:
    """Tries to connect two hundred times a second, to a port on which nobody listens."""
    for _ in paced(200):
        with suppress(ConnectionRefusedError):
            connect(port).close()


def keep_writing(port: int, pause: float) -> None:
    """Asks for much more than it reads; then reads a little after each `pause` (seconds)."""
    with connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        request = b"".join(pack((b"GET", b"large")) for _ in range(20))
        asked = answered = 0
        while True:
            while asked - answered < 20 << 20:
                os.write(connection.fileno(), request)
                asked += 20 * LARGE_BYTES
            time.sleep(pause)
            answered += len(os.read(connection.fileno(), 1 << 17))


def slow(port: int) -> None:
    """Reads its replies far more slowly than it asks."""
    _store_large(port)
    keep_writing(port, 0.002)


def prompt(port: int) -> None:
    """Asks for the same replies, one after another, two hundred a second."""
    _store_large(port)
    connection = _open(port)
    for _ in paced(200):
        connection.command("GET", "large")


def _store_large(port: int) -> None:
    _open(port).command("SET", "large", b"x" * LARGE_BYTES)


def _open(port: int) -> Connection:
    connection = Connection(Address.parse(f"forkkv://127.0.0.1:{port}"))
    connection.open()
    return connection


def lopsided(port: int, everybody: bool = False) -> None:
    """Sixteen connections; those of one worker ask all the time, the others wait."""
    connections = [_open(port) for _ in range(16)]
    served_by = [_worker_of(connection) for connection in connections]
    busy = [c for c, pid in zip(connections, served_by, strict=True)
            if everybody or pid == served_by[0]]  # fmt: skip
    while True:
        for connection in busy:
            connection.command("GET", "key")


def level(port: int) -> None:
    """Sixteen connections that ask in turn."""
    lopsided(port, everybody=True)


def _worker_of(connection: Connection) -> int:
    info = bytes(connection.command("CLIENT", "INFO"))  # type: ignore[arg-type]
    return int(info.split(b"worker=")[1].split()[0])


def contend(table_name: str) -> None:
    """Writes two thousand keys at once, again and again: it holds the locks of all partitions."""
    with forkkv.attach(table_name) as table:
        pairs = {f"contended:{number}": b"x" * 100 for number in range(2000)}
        while True:
            table.set_many(pairs)


def hold(table_name: str) -> None:
    """Writes to one key all the time; whoever stops it is likely to find a lock in its hands."""
    with forkkv.attach(table_name) as table:
        while True:
            table.set("held", b"x" * 1000)


def write(table_name: str, key: str) -> None:
    """Writes one small key as fast as it can."""
    with forkkv.attach(table_name) as table:
        while True:
            table.set(key, b"x" * 100)


def wait(table_name: str) -> None:
    """Has the table open, and does nothing."""
    with forkkv.attach(table_name) as table:
        table.set("waits", b"x")
        time.sleep(3600)


def scan(table_name: str, warm: bool = False) -> None:
    """Reads every key, through a mapping that is made anew for each round unless it is `warm`."""
    with forkkv.attach(table_name) as table:
        keys = [key for key in table if key.startswith(b"key:")]
    batches = [keys[start : start + 100] for start in range(0, len(keys), 100)]
    while True:
        with forkkv.attach(table_name) as table:
            for batch in batches:
                table.get_many(batch)
            while warm:
                for batch in batches:
                    table.get_many(batch)


def scan_warm(table_name: str) -> None:
    """Reads every key again and again through one mapping."""
    scan(table_name, warm=True)


def expire(port: int, milliseconds: int, spread: int) -> None:
    """Stores 20,000 keys that expire after so long, evenly over a `spread`; then asks now and then.

    A spread of 0 has them all expire in one millisecond.
    """
    connection = _open(port)
    first = round(time.time() * 1000) + milliseconds
    for start in range(0, EXPIRING, 1000):
        batch = range(start, start + 1000)
        moments = ((number, first + spread * number // EXPIRING) for number in batch)
        commands = (("SET", f"brief:{number}", "x", "PXAT", when) for number, when in moments)
        connection.pipeline(commands)
    for _ in paced(20):
        connection.command("GET", "brief:1")


def poke(port: int, key: str) -> None:
    """Writes to one key fifty times a second, whatever comes back."""
    connection = _open(port)
    for _ in paced(50):
        connection.command("SET", key, "poked")


def crunch(port: int, per_second: float = 1e9) -> None:
    """Has the server search all keys for a pattern that none has."""
    connection = _open(port)
    for _ in paced(per_second):
        connection.command("KEYS", "nothing*is*like*this")


def crunch_gently(port: int) -> None:
    """The same, twenty times a second."""
    crunch(port, 20)


def haul(port: int) -> None:
    """Gets a large value, one after another, over eight connections with a request each."""
    _store_large(port)
    connections = [_open(port) for _ in range(8)]
    request = pack((b"GET", b"large"))
    for connection in connections:
        connection.send(request)
    while True:
        for connection in connections:
            connection.receive()
            connection.send(request)


LOADS: Final[dict[str, Callable[..., None]]] = {
    load.__name__: load
    for load in (
        visit, knock, slow, prompt, lopsided, level, contend, hold, write, wait, scan,
        scan_warm, expire, poke, crunch, crunch_gently, haul,
    )
}  # fmt: skip


def main(name: str, *arguments: str) -> None:
    """Runs a load; numbers among its arguments are numbers."""
    print(name, "begins", flush=True)
    with suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        LOADS[name](*(int(each) if each.isdigit() else each for each in arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])

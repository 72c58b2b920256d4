"""The caches that are compared: each asked for a batch of keys, and given those that it missed.

All get the same limit in bytes, by their own option for it; forkkv counts everything in it, the
others less. So what the kernel charges each is told beside.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import hiredis

import forkkv
from forkkv.clients.connection import pack
from forkkv.perf.bench_process import (
    MEMCACHED,
    connect,
    free_port,
    memcached_command,
    redis_command,
    server,
)
from forkkv.perf.traces import key_of

MIB: Final = 1 << 20
TABLE: Final = f"forkkv-bench-{os.getpid()}"
VALUE: Final = bytes(4096)
Size = Callable[[int], int]


@dataclass(frozen=True)
class Cache:
    """One cache: `ask` says which keys of a batch are missing, `give` stores keys by number."""

    ask: Callable[[Sequence[int]], list[int]]
    give: Callable[[Sequence[int]], None]
    keys: Callable[[], int]
    charged: Callable[[], int]  # bytes, by the kernel


Opener = Callable[[int, Size], contextlib.AbstractContextManager[Cache]]


@contextlib.contextmanager
def open_forkkv(limit: int, size: Size) -> Iterator[Cache]:
    """A table of its own, through the local door."""
    table = forkkv.attach(TABLE, create=True, memory=limit, policy="s3fifo")
    get, put = table.get, table.set

    def ask(batch: Sequence[int]) -> list[int]:
        return [number for number in batch if get(key_of(number)) is None]

    def give(numbers: Sequence[int]) -> None:
        for number in numbers:
            put(key_of(number), VALUE[: size(number)])

    try:
        yield Cache(ask, give, lambda: len(table), _blocks)
    finally:
        table.close()
        forkkv.unlink(TABLE)


def _blocks() -> int:
    return Path(f"/dev/shm/forkkv.{TABLE}").stat().st_blocks * 512


def _resident(pid: int) -> int:
    """Anonymous memory of a process: what its program's own pages do not explain."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(r"^Anonymous: +(\d+)", text, re.MULTILINE)[0]) * 1024


class Redis:
    """One connection to a redis-server, spoken to in batches."""

    def __init__(self, port: int) -> None:
        self.socket = connect(port)
        self.reader = hiredis.Reader()

    def call(self, requests: Sequence[bytes]) -> list[object]:
        """The replies to requests that are sent at once."""
        self.socket.sendall(b"".join(requests))
        replies: list[object] = []
        while len(replies) < len(requests):
            self.reader.feed(self.socket.recv(1 << 18))
            while (reply := self.reader.gets()) is not False:
                replies.append(reply)
        return replies

    def memory(self, field: bytes) -> int:
        """A figure of INFO memory."""
        (text,) = self.call([b"INFO memory\r\n"])
        assert isinstance(text, bytes)
        return int(re.findall(rb"^%b:(\d+)" % field, text, re.MULTILINE)[0])


def redis(policy: str) -> Opener:
    """redis-server with that maxmemory-policy."""

    @contextlib.contextmanager
    def open_redis(limit: int, size: Size) -> Iterator[Cache]:
        port = free_port()
        command = redis_command(port, "--maxmemory", str(limit), "--maxmemory-policy", policy)
        with server(command, port) as process:
            client = Redis(port)

            def ask(batch: Sequence[int]) -> list[int]:
                replies = client.call([pack((b"GET", key_of(number))) for number in batch])
                return [n for n, reply in zip(batch, replies, strict=True) if reply is None]

            def give(numbers: Sequence[int]) -> None:
                client.call([_set(number, size(number)) for number in numbers])

            def keys() -> int:
                (count,) = client.call([b"DBSIZE\r\n"])
                assert isinstance(count, int)
                return count

            yield Cache(ask, give, keys, lambda: _resident(process.pid))

    return open_redis


def _set(number: int, size: int) -> bytes:
    return pack((b"SET", key_of(number), VALUE[:size]))


@contextlib.contextmanager
def open_memcached(limit: int, size: Size) -> Iterator[Cache]:
    """memcached with one thread; its limit is in whole MiB, rounded up here in its favour."""
    port = free_port()
    with server(memcached_command(port, -(-limit // MIB)), port, MEMCACHED) as process:
        connection = connect(port)
        found = re.compile(rb"VALUE (\S{16}) 0 \d+\r\n")

        def call(request: bytes, end: bytes) -> bytes:
            connection.sendall(request)
            answer = b""
            while not answer.endswith(end):
                answer += connection.recv(1 << 18)
            return answer

        def ask(batch: Sequence[int]) -> list[int]:
            names = [key_of(number) for number in batch]
            there = set(found.findall(call(b"get " + b" ".join(names) + b"\r\n", b"END\r\n")))
            return [n for n, name in zip(batch, names, strict=True) if name not in there]

        def give(numbers: Sequence[int]) -> None:
            lines = (
                b"set %b 0 0 %d noreply\r\n%b\r\n" % (key_of(n), size(n), VALUE[: size(n)])
                for n in numbers
            )
            connection.sendall(b"".join(lines))

        def keys() -> int:
            (count,) = re.findall(rb"STAT curr_items (\d+)", call(b"stats\r\n", b"END\r\n"))
            return int(count)

        yield Cache(ask, give, keys, lambda: _resident(process.pid))


CACHES: Final[dict[str, Opener]] = {
    "forkkv s3fifo": open_forkkv,
    "redis allkeys-lru": redis("allkeys-lru"),
    "redis allkeys-lfu": redis("allkeys-lfu"),
    "memcached": open_memcached,
}


def limit_for(keys: int, size: Size) -> int:
    """The limit, in bytes, at which redis-server holds so many keys: what it says it uses then."""
    port = free_port()
    with server(redis_command(port), port):
        client = Redis(port)
        for first in range(0, keys, 1000):
            client.call([_set(n, size(n)) for n in range(first, min(first + 1000, keys))])
        return client.memory(b"used_memory")

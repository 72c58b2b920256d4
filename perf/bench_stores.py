"""The servers whose memory is compared: forkkv, redis-server and memcached, run and weighed alike.

A store counts what the kernel charges for it, each page once: the private memory of all its
processes, and the blocks of its table in shared memory if it has one.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from forkkv.clients.connection import pack
from forkkv.perf.bench_process import (
    MEMCACHED,
    REDIS,
    Greeting,
    family,
    forkkv_command,
    free_port,
    memcached_command,
    redis_command,
    server,
)

MIB: Final = 1 << 20
BATCH: Final = 1000  # requests under way at a time
SETTLE_SECONDS: Final = 0.3
SETTLE_TRIES: Final = 100
TABLE: Final = f"forkkv-bench-{os.getpid()}"


@dataclass(frozen=True)
class Dialect:
    """What one kind of server is told, and what it answers: one line to each request."""

    greeting: Greeting
    store: Callable[[bytes, bytes, int], bytes]  # key, value, seconds to live or 0
    stored: bytes
    ask_size: Callable[[bytes], bytes]
    read_size: Callable[[bytes], int]  # of the answer; 0: it has no such key


def _resp_store(key: bytes, value: bytes, ttl: int) -> bytes:
    return pack((b"SET", key, value, *((b"EX", b"%d" % ttl) if ttl else ())))


RESP = Dialect(
    REDIS,
    _resp_store,
    b"+OK",
    lambda key: pack((b"STRLEN", key)),
    lambda line: int(line[1:]),
)
MEMCACHE = Dialect(
    MEMCACHED,
    lambda key, value, ttl: b"set %s 0 %d %d\r\n%s\r\n" % (key, ttl, len(value), value),
    b"STORED",
    lambda key: b"mg %s s\r\n" % key,
    lambda line: int(line[4:]) if line.startswith(b"HD s") else 0,
)


@dataclass(frozen=True)
class Kind:
    """A kind of server: how it is started with a limit, and how it is spoken to."""

    name: str
    dialect: Dialect
    command: Callable[[int, int], list[str]]  # port, limit in MiB
    table: Path | None = None  # its object in shared memory


def _forkkv(port: int, limit_mib: int) -> list[str]:
    return forkkv_command(port, TABLE, 1, f"{limit_mib}mb")


def _redis(port: int, limit_mib: int) -> list[str]:
    return redis_command(port, "--maxmemory", f"{limit_mib}mb")


KINDS = (
    Kind("forkkv", RESP, _forkkv, Path(f"/dev/shm/forkkv.{TABLE}")),
    Kind("redis-server", RESP, _redis),
    Kind("memcached", MEMCACHE, memcached_command),
)


class Store:
    """One running server. `refused` counts the values that it did not take."""

    def __init__(self, kind: Kind, limit_mib: int) -> None:
        self.kind, self.limit_mib = kind, limit_mib
        self.refused = 0
        self.ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        port, dialect = free_port(), self.kind.dialect
        command = self.kind.command(port, self.limit_mib)
        self.process = self.ends.enter_context(server(command, port, dialect.greeting))
        self.connection = self.ends.enter_context(socket.create_connection(("127.0.0.1", port)))
        self.replies = self.ends.enter_context(self.connection.makefile("rb"))
        self.empty_bytes = self.settled_bytes()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ends.close()

    def store(self, pairs: Iterable[tuple[bytes, bytes]], ttl: int = 0) -> None:
        """Stores the pairs, with `ttl` seconds to live if that is not 0."""
        dialect = self.kind.dialect
        for line in self._ask(dialect.store(key, value, ttl) for key, value in pairs):
            self.refused += line != dialect.stored

    def value_sizes(self, keys: Iterable[bytes]) -> list[int]:
        """The sizes of the keys' values; 0 for a key that it does not hold."""
        dialect = self.kind.dialect
        return [dialect.read_size(line) for line in self._ask(map(dialect.ask_size, keys))]

    def _ask(self, requests: Iterable[bytes]) -> Iterator[bytes]:
        waiting = iter(requests)
        while batch := list(islice(waiting, BATCH)):
            self.connection.sendall(b"".join(batch))
            for _ in batch:
                yield self.replies.readline()[:-2]

    def table_bytes(self) -> int:
        """What the kernel charges for its table in shared memory; 0 if it has none."""
        return self.kind.table.stat().st_blocks * 512 if self.kind.table else 0

    def charged_bytes(self) -> int:
        """What the kernel charges for all of it now."""
        return self.table_bytes() + sum(map(private_bytes, family(self.process.pid)))

    def settled_bytes(self) -> int:
        """The same once it stands still: a server may go on rehashing behind its replies."""
        before = self.charged_bytes()
        for _ in range(SETTLE_TRIES):
            time.sleep(SETTLE_SECONDS)
            now = self.charged_bytes()
            if abs(now - before) <= before // 1000:
                return now
            before = now
        raise RuntimeError(f"the memory of {self.kind.name} does not come to rest")


def private_bytes(pid: int) -> int:
    """Proportional set size but for shared memory: a page that n processes map counts 1/n each."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        sizes[name] = int(value.split()[0]) * 1024
    return sizes["Pss"] - sizes["Pss_Shmem"]

"""The local door: a table in shared memory as a mapping, with no server in between."""

from __future__ import annotations

import time
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, cast

from forkkv import _core, objects
from forkkv.capacity import fitting_memory
from forkkv.sizes import parse_size

Default = TypeVar("Default")

LOCK_TIMEOUT_MAX = 3600
_SCAN_KEYS = 512
_NAMELESS_SECONDS = 5.0  # how long others may be half way through making or removing a table
_MISSING = object()


def attach(
    name: str,
    *,
    create: bool = False,
    memory: str | int | None = None,
    database: int = 0,
    lock_timeout: float = 1.0,
    policy: str = "noeviction",
) -> Table:
    """Opens the table `name`, whether a server serves it or not.

    `create` makes it if there is none, limited to `memory` (bytes, or "64mb", "1gb"; without it 256
    MiB, or 3/4 of what /dev/shm has free). `policy` says what a write to a full table does:
    "noeviction" raises TableFull, "s3fifo" evicts keys that are little used. A table that is there
    keeps its limit and its policy (see set_policy()). `database` is 0 to 15. `lock_timeout` is how
    many seconds, 0 to 3600, a write waits for a process that holds a lock and does not move, before
    TableBusy; the next one does not wait for it again until it has moved, so pause between tries.
    Raises NoSuchTable, TableUnusable, TableFull (no room in /dev/shm), ValueError for a bad
    argument.

    >>> with attach("doc-example", create=True, memory="4mb") as table:
    ...     table["greeting"] = "hello"
    ...     table.get(b"greeting")
    b'hello'
    >>> objects.unlink("doc-example")
    """
    if not 0 <= lock_timeout <= LOCK_TIMEOUT_MAX:
        raise ValueError(f"a lock timeout is 0 to {LOCK_TIMEOUT_MAX} seconds, not {lock_timeout}")
    if policy not in _core.POLICIES:
        raise ValueError(f"policy {policy!r} is unknown; give one of {', '.join(_core.POLICIES)}")
    size = None if memory is None else parse_size(memory)
    table = _open_or_create(name, size, database, policy) if create else _open(name, database)
    table.set_lock_timeout(round(lock_timeout * 1000))
    return table


def _open(name: str, database: int) -> Table:
    with objects.existing_object(name) as fd:
        return Table(fd, database=database, name=name)


def _create(name: str, memory_bytes: int | None, database: int, policy: str) -> Table:
    size = _fitting_memory(name) if memory_bytes is None else memory_bytes
    with objects.new_object(name) as fd:
        return Table(fd, True, size, database=database, name=name, policy=policy)


def _fitting_memory(name: str) -> int:
    """A table that is there needs no room, so it is opened even where it has filled /dev/shm."""
    try:
        return fitting_memory()
    except _core.TableFull:
        if objects.exists(name):
            return _core.MEMORY_MIN
        raise


def _open_or_create(name: str, memory_bytes: int | None, database: int, policy: str) -> Table:
    """Others may make or unlink the same name meanwhile: whoever comes second opens it."""
    deadline = time.monotonic() + _NAMELESS_SECONDS
    while True:
        try:
            return _create(name, memory_bytes, database, policy)
        except _core.TableExists:
            try:
                return _open(name, database)
            except (objects.NoSuchTable, _core.TableRetired):
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.001)


class Table(_core.Table, MutableMapping[bytes, bytes]):
    """A mapping of bytes to bytes that other processes see, and change, at the same time.

    A key or a value given as str is its UTF-8 bytes, so table["a"] and table[b"a"] are one entry;
    what comes back is always bytes. Every single method is atomic except `update` (one key after
    the other; `set_many` is all or nothing) and iteration, which goes on while others write: a key
    that is there all the time comes at least once.

    May be used by threads, after fork(), and in a preloaded application: a forked child becomes a
    participant of its own at its first call. Pickled, as for a process that is spawned, it is its
    name and database, and unpickling attaches again: to the table that has the name then.

    With several processes, `clear`, `popitem` and the like act on whatever is there at that moment.
    """

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[], Table], tuple[()]]:
        if self.closed:
            raise _core.TableClosed(f"table '{self.name}' is closed, and cannot be pickled")
        return partial(attach, self.name, database=self.database), ()

    def __iter__(self) -> Iterator[bytes]:
        for keys in self._batches():
            yield from keys

    def items(self) -> ItemsView[bytes, bytes]:
        """A view of the pairs; keys that go while it is iterated are left out."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """A view of the values, in the order of the keys."""
        return _Values(self)

    def pop(self, key: _core.Key, default: Default | object = _MISSING) -> bytes | Default:
        """Removes the key and returns its value, as one step. KeyError without a default."""
        value = self.pop_value(key)
        if value is not None:
            return value
        if default is _MISSING:
            raise KeyError(key)
        return cast(Default, default)

    def popitem(self) -> tuple[bytes, bytes]:
        """Removes some pair and returns it. KeyError when there is none."""
        for key in self:
            value = self.pop_value(key)
            if value is not None:
                return key, value
        raise KeyError("popitem(): the table is empty")

    def setdefault(self, key: _core.Key, default: _core.Value = b"") -> bytes:
        """The value, after storing `default` if there is none: of several processes, one does."""
        while True:
            value = self.get(key)
            if value is not None:
                return value
            if self.set(key, default, nx=True):
                return default.encode() if isinstance(default, str) else bytes(default)

    def trim(self) -> int:
        """Gives memory that garbage and free segments take back to the kernel; nothing is evicted.

        Returns the bytes given back. A server does this by itself while little is written.
        """
        before = self.facts()["memory_used_bytes"]
        while self.shrink():
            pass
        return max(0, before - self.facts()["memory_used_bytes"])

    def _batches(self) -> Iterator[list[bytes]]:
        cursor, keys = self.scan(0, _SCAN_KEYS)
        yield keys
        while cursor:
            cursor, keys = self.scan(cursor, _SCAN_KEYS)
            yield keys

    def _pairs(self) -> Iterator[tuple[bytes, bytes]]:
        for keys in self._batches():
            for key, value in zip(keys, self.get_many(keys), strict=True):
                if value is not None:
                    yield key, value


class _Items(ItemsView[bytes, bytes]):
    """Reads values in batches; the mapping's own view would stop at a key that has gone."""

    _mapping: Table

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping._pairs()


class _Values(ValuesView[bytes]):
    """The same for values alone."""

    _mapping: Table

    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in self._mapping._pairs())

    def __contains__(self, value: object) -> bool:
        return any(each == value for each in self)

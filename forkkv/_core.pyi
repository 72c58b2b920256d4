"""The face of the C extension: Table is the local door, Server a worker's network door."""

from collections.abc import Iterable, Mapping
from typing import Final, TypedDict, TypeVar, overload

Key = bytes | str
Value = bytes | str | bytearray | memoryview
AnyKey = TypeVar("AnyKey", bound=Key)
Default = TypeVar("Default")

MASTER: Final[int]
WORKER: Final[int]
KEEPER: Final[int]
ATTACHED: Final[int]
ALL_DATABASES: Final[int]
DATABASES: Final[int]
KEY_MAX: Final[int]  # bytes
ACCESS_MAX: Final[int]  # the highest frequency()
MEMORY_MIN: Final[int]
POLICIES: Final[tuple[str, ...]]  # what a full table does: "noeviction", "s3fifo"
SYSCALLS: Final[tuple[str, ...]]  # the counters that are system calls, by perf's names
EVENTS: Final[tuple[str, ...]]  # the other counters
HOT_COMMANDS: Final[tuple[tuple[str, int, str, int, int, int, str], ...]]
# (name, arity as in COMMAND, flags separated by spaces, first key, last key, key step, summary)

class Error(Exception): ...
class TableFull(Error): ...  # the memory limit, or the file system behind /dev/shm
class TableBusy(Error): ...  # a living process holds a lock, not moving for the lock timeout
class TableRetired(Error): ...  # unlinked or replaced
class TableExists(Error): ...
class TableUnusable(Error): ...  # foreign, half made, unsafe owner or mode, corrupt, cut off
class TableClosed(Error, ValueError): ...  # used after close()
class TooBig(Error, ValueError): ...  # key or value size
class NotAnInteger(Error, ValueError): ...  # also: the sum overflows

class Facts(TypedDict):
    """fkv_facts of shm/fkv.h, by the same names."""

    memory_limit_bytes: int
    memory_used_bytes: int
    live_bytes: int
    dead_bytes: int
    free_bytes: int
    index_bytes: int
    fixed_bytes: int
    keys: int
    expiring: int
    value_max: int
    repairs: int
    created_ms: int
    incarnation: int
    object_bytes: int
    segments: int
    segments_free: int
    segments_open: int
    segments_closed: int
    segments_runs: int
    segment_bytes: int
    partitions: int
    participants: int
    participants_max: int
    reserve_bytes: int
    ghost_bytes: int
    segments_taken: int  # since the table was made
    policy: str  # one of POLICIES
    retired: bool

class ParticipantFacts(TypedDict):
    entry: int
    role: str  # master, worker, keeper, attached
    index: int
    pid: int  # in the PID namespace of that process
    alive: bool
    own: bool  # this handle's own entry
    start_ticks: int
    generation: int
    heartbeat_ns: int
    state: str
    counts: dict[str, int]  # every counter by name
    commands: list[tuple[int, int, int]]  # calls, ns, failed; rows as HOT_COMMANDS, then free

class Departed(TypedDict):
    """Sums over the processes that had the table open and are gone; see ParticipantFacts."""

    counts: dict[str, int]
    commands: list[tuple[int, int, int]]

class Table:
    """One open table. Keys: bytes or str (UTF-8), 1 to 65,535 bytes. Times in seconds."""

    database: int
    def __init__(
        self,
        fd: int,
        create: bool = False,
        memory_bytes: int = 0,
        role: int = ...,
        role_index: int = 0,
        database: int = 0,
        name: str = "",  # for messages
        observe: bool = False,  # only to look: no entry, no lock, nothing is changed
        policy: str = "noeviction",  # of a table that is made
    ) -> None: ...
    @property
    def name(self) -> str: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def policy(self) -> str: ...  # one of POLICIES, at this moment
    @overload
    def get(self, key: Key, /) -> bytes | None: ...
    @overload
    def get(self, key: Key, default: Default, /) -> bytes | Default: ...
    def __getitem__(self, key: Key, /) -> bytes: ...
    def __setitem__(self, key: Key, value: Value, /) -> None: ...
    def __delitem__(self, key: Key, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def set(
        self,
        key: Key,
        value: Value,
        ttl: float | None = None,
        nx: bool = False,
        xx: bool = False,
        keep_ttl: bool = False,
    ) -> bool: ...
    def get_set(self, key: Key, value: Value, /) -> bytes | None: ...
    def delete(self, key: Key, /) -> bool: ...
    def pop_value(self, key: Key, /) -> bytes | None: ...
    def incr(self, key: Key, delta: int = 1, /) -> int: ...
    def append(self, key: Key, value: Value, /) -> int: ...
    def expire(self, key: Key, ttl: float, /) -> bool: ...
    def expire_at(self, key: Key, at: float, /) -> bool: ...
    def persist(self, key: Key, /) -> bool: ...
    def ttl(self, key: Key, /) -> float | None: ...  # None: no expiry; KeyError: no such key
    def memory_usage(self, key: Key, /) -> int | None: ...  # bytes, the index's share included
    def frequency(self, key: Key, /) -> int | None: ...  # 0 to ACCESS_MAX, while a policy evicts
    def get_many(self, keys: Iterable[Key], /) -> list[bytes | None]: ...
    def set_many(
        self,
        pairs: Mapping[AnyKey, Value] | Iterable[tuple[Key, Value]],
        ttl: float | None = None,
        /,
    ) -> None: ...
    def rename(self, key: Key, new_key: Key, nx: bool = False, /) -> bool: ...
    def copy(self, key: Key, new_key: Key, replace: bool = False, /) -> bool: ...
    def scan(self, cursor: int, count: int, /) -> tuple[int, list[bytes]]: ...
    def count(self, database: int, /) -> tuple[int, int]: ...  # keys, how many have an expiry
    def count_some(self, database: int, at: int, /) -> tuple[int, int]: ...  # keys, where to go on
    def clear(self, database: int | None = None, /) -> None: ...  # None: this one
    # upkeep
    def enroll(self, role: int, role_index: int, /) -> None: ...
    def retire(self) -> None: ...
    def sweep(self, pages: int, /) -> tuple[int, bool]: ...  # removed, whether there may be more
    def reclaim_ahead(self) -> bool: ...
    def shrink(self) -> bool: ...  # a small piece of it; False: there is nothing to give back
    def purge(self) -> None: ...  # asks the keeper for it
    def purge_wanted(self) -> bool: ...
    def set_policy(self, policy: str, /) -> None: ...  # for all who have the table open
    def repair(self) -> int: ...
    def check(self) -> str | None: ...  # the first broken invariant, or None
    def truncated(self) -> bool: ...
    def facts(self) -> Facts: ...
    def participants(self) -> list[ParticipantFacts]: ...
    def worker_loads(self) -> list[tuple[int, int, int, int, str]]: ...
    # index, pid, connections, heartbeat_ns, state of each worker's entry, dead or alive
    def departed(self) -> Departed: ...
    def count_command(self, row: int, ns: int, failed: bool, /) -> None: ...
    def count_up(self, counter: str, n: int = 1, /) -> None: ...  # this process's own counter
    def set_counter(self, counter: str, value: int, /) -> None: ...
    def set_state(self, state: str, /) -> None: ...
    def heartbeat(self) -> None: ...
    def set_lock_timeout(self, milliseconds: int, /) -> None: ...

def retire_object(fd: int, /) -> bool: ...  # tells all who have it open; False: no whole table

class Limits(TypedDict, total=False):
    query_buffer: int  # bytes; default 1 GiB
    bulk_length: int  # bytes; default 512 MiB
    reply_buffer: int  # bytes a slow reader may leave unread; default 256 MiB
    pipeline_paused: int  # unread reply bytes above which its commands wait; default 1 MiB

Event = tuple[str, int, list[bytes]]
# ("accept", listener fd, [])            the listener is readable: call accept()
# ("command", connection, argv)          not in the hot table; answer() it, the rest then runs
# ("closed", connection, [reason])       gone; b"client", b"server", b"quit", b"protocol",
#                                        b"cross protocol", b"query limit", b"reply limit",
#                                        b"memory", or the system's text of an error
# A connection is an int that is never used again. It may be gone before its "closed" comes.

class Server:
    """A worker's connections and its event loop, one call per tick. SIGPIPE must be ignored."""

    def __init__(self, table: Table, limits: Limits | None = None) -> None: ...
    def listen(self, fd: int, /) -> None: ...  # watch a listener (EPOLLEXCLUSIVE)
    def unlisten(self, fd: int, /) -> None: ...
    def tick(self, timeout_ms: int, /) -> list[Event]: ...  # [] also when a signal came
    def accept(self, fd: int, /) -> tuple[int, int] | None: ...  # (connection, its fd)
    def reject(self, fd: int, error: bytes, /) -> bool: ...  # accept, write the error, close
    def answer(self, connection: int, reply: bytes, /) -> None: ...  # a gone one is ignored
    def close(self, connection: int, /) -> None: ...  # after what it has to be sent
    def drain(self) -> int: ...  # read no more; returns how many still have replies to come
    def protocol(self, connection: int, version: int = 0, /) -> int: ...  # 2 or 3; 0 asks
    def database(self, connection: int, number: int = -1, /) -> int: ...  # -1 asks
    def activity(self, connection: int, /) -> tuple[int, int, int, int, str]: ...
    # fd, commands run, query bytes waiting, reply bytes waiting, last command ("" if Python's).
    # These three raise KeyError for a connection that is gone.
    @property
    def connections(self) -> int: ...
    def shutdown(self) -> None: ...  # close every connection now; the Server is of no more use

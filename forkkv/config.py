"""What one server runs with: every option of `forkkv serve` is one field of Config."""

import os
from dataclasses import dataclass, field, fields
from typing import Any, Final

from forkkv._core import POLICIES
from forkkv.objects import object_name
from forkkv.sizes import parse_size

MEMORY_MIN: Final = parse_size("4mb")
WORKERS_MAX: Final = 64
PORT_MAX: Final = 65535


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def option(default: Any, help: str, kind: str = "", shown: str = "") -> Any:
    """A field that is an option. `kind` is "size" or "mode" where the type does not tell how to
    read the text; `shown` is the default as --help shows it, where the value would not tell."""
    metadata = {"help": help, "kind": kind, "shown": shown}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One server's options. ValueError names the option that is out of range, and its range."""

    name: str = option("default", "Name of the table; programs attach to it by this name.")
    bind: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(6390, "TCP port to listen on; 0 for none.")
    unix: str | None = option(None, "Path of a unix socket to listen on as well.", shown="none")
    unix_mode: int = option(0o600, "Permissions of the unix socket, octal.", "mode", "600")
    workers: int = option(cores, "Number of worker processes.", shown="one per core")
    memory: int | None = option(
        None, "Memory limit for the whole table.", "size", "256mb, or what fits /dev/shm"
    )
    policy: str | None = option(
        None, f"What a full table does: {' or '.join(POLICIES)}.", shown=POLICIES[0]
    )
    maxclients: int = option(10000, "Connections at a time, over all workers.")
    backlog: int = option(511, "Connections that may wait to be accepted.")
    grace: float = option(10.0, "Seconds that a leaving process has to finish its replies.")
    stall: float = option(10.0, "Seconds without a sign of life after which a process is killed.")
    lock_timeout: float = option(
        1.0, "Seconds a write waits for a lock whose holder, perhaps stopped, does not move."
    )
    query_buffer: int = option(
        parse_size("1gb"), "Unread query bytes a client may pile up.", "size", "1gb"
    )
    bulk_length: int = option(parse_size("512mb"), "Longest single argument.", "size", "512mb")
    reply_buffer: int = option(
        parse_size("256mb"), "Reply bytes a client may leave unread.", "size", "256mb"
    )
    keep: bool = option(False, "Leave the table in shared memory at a clean stop.")

    def __post_init__(self) -> None:
        object_name(self.name)
        _check_range("--port", self.port, 0, PORT_MAX)
        _check_range("--workers", self.workers, 1, WORKERS_MAX)
        _check_range("--maxclients", self.maxclients, 1, 1_000_000)
        _check_range("--backlog", self.backlog, 1, 65535)
        _check_range("--grace", self.grace, 0, 3600)
        _check_range("--stall", self.stall, 2, 3600)
        _check_range("--lock-timeout", self.lock_timeout, 0.01, 60)
        _check_range("--unix-mode", self.unix_mode, 0, 0o777)
        for size in ("query_buffer", "bulk_length", "reply_buffer"):
            _check_range("--" + size.replace("_", "-"), getattr(self, size), 1024, 1 << 40)
        if self.memory is not None and self.memory < MEMORY_MIN:
            raise ValueError(f"--memory {self.memory} is too small; give 4mb or more")
        if self.policy not in (None, *POLICIES):
            raise ValueError(f"--policy {self.policy} is unknown; give {' or '.join(POLICIES)}")
        if self.lock_timeout > self.stall / 2:
            raise ValueError(
                f"--lock-timeout {self.lock_timeout:g} is more than half of --stall {self.stall:g}:"
                " a worker that waits would be killed for giving no sign of life; lower it, or "
                "raise --stall"
            )
        if self.port == 0 and self.unix is None:
            raise ValueError("--port 0 leaves no way in; give --unix PATH or a port")


def variable(option_name: str) -> str:
    """The environment variable that sets an option: "unix_mode" is FORKKV_UNIX_MODE."""
    return "FORKKV_" + option_name.upper()


def option_names() -> list[str]:
    """The options in the order of --help."""
    return [each.name for each in fields(Config)]


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} {value} is out of range; give {low} to {high}")

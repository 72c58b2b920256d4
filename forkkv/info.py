"""The text of INFO: figures of the whole table, summed over its processes in shared memory.

Totals count what living processes have done and what those before them did, so they never go down.
Hits, misses and expired keys are everybody's who has or had the table open, not the server's only.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from forkkv import __version__
from forkkv._core import DATABASES
from forkkv.memory import Memory
from forkkv.session import Context
from forkkv.sizes import format_size
from forkkv.usage import Usage, read_usage

if TYPE_CHECKING:
    from forkkv._core import ParticipantFacts

REDIS_VERSION = "7.0.0"  # whose commands and error texts are the model; clients look for it
SERVER_ROLES = ("master", "keeper", "worker")
Section = Mapping[str, object]


class Snapshot:
    """What the sections draw on, each read at most once per INFO."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.facts = context.table.facts()
        self.participants = [each for each in context.table.participants() if each["alive"]]
        self.departed = context.table.departed()

    @property
    def workers(self) -> list[ParticipantFacts]:
        found = [each for each in self.participants if each["role"] == "worker"]
        return sorted(found, key=lambda each: each["index"])

    @cached_property
    def memory(self) -> Memory:
        return Memory(self.facts, {name: self.total(name) for name in self.departed["counts"]})

    @property
    def connections(self) -> int:
        return sum(each["counts"]["connections"] for each in self.participants)

    def total(self, counter: str) -> int:
        """A counter's sum over all processes, those that are gone as well."""
        living = sum(each["counts"][counter] for each in self.participants)
        return living + self.departed["counts"][counter]

    @cached_property
    def usage(self) -> dict[int, Usage]:
        """CPU and memory of every process that has the table open, by its entry."""
        found = {
            each["entry"]: read_usage(each["pid"], each["start_ticks"])
            for each in self.participants
        }
        return {entry: usage for entry, usage in found.items() if usage}

    @property
    def server_usage(self) -> list[Usage]:
        """The same of the server's own processes."""
        entries = [each["entry"] for each in self.participants if each["role"] in SERVER_ROLES]
        return [self.usage[entry] for entry in entries if entry in self.usage]


def info_text(context: Context, wanted: list[str]) -> str:
    """The sections named in `wanted` (also "default", "all", "everything"; none: default)."""
    names = set(wanted or ["default"])
    if names & {"all", "everything"}:
        names |= SECTIONS.keys()
    if "default" in names:
        names |= SECTIONS.keys() - NOT_BY_DEFAULT
    snapshot = Snapshot(context)
    texts = [_text(name, make(snapshot)) for name, make in SECTIONS.items() if name in names]
    return "\r\n".join(texts)


def _text(name: str, section: Section) -> str:
    lines = "".join(f"{field}:{value}\r\n" for field, value in section.items())
    return f"# {name.capitalize()}\r\n{lines}"


def _server(snapshot: Snapshot) -> Section:
    context, now = snapshot.context, time.time()
    uptime = int(time.monotonic() - context.identity.started)
    return {
        "redis_version": REDIS_VERSION,
        "forkkv_version": __version__,
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": sys.maxsize.bit_length() + 1,
        "multiplexing_api": "epoll",
        "process_id": context.identity.master_pid,
        "run_id": context.identity.run_id,
        "tcp_port": context.config.port,
        "server_time_usec": int(now * 1_000_000),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86400,
        "hz": 1,
        "executable": sys.executable,
        "config_file": "",
        "table_name": context.config.name,
    }


def _clients(snapshot: Snapshot) -> Section:
    return {
        "connected_clients": snapshot.connections,
        "maxclients": snapshot.context.config.maxclients,
        "blocked_clients": 0,
        "tracking_clients": 0,
        "clients_in_timeout_table": 0,
    }


def _memory(snapshot: Snapshot) -> Section:
    facts, memory = snapshot.facts, snapshot.memory
    used, limit = memory.used_bytes, memory.limit_bytes
    rss = used + sum(each.private_bytes for each in snapshot.server_usage)
    return {
        "used_memory": used,
        "used_memory_human": format_size(used),
        "used_memory_rss": rss,  # the table counts once, not once per process that maps it
        "used_memory_rss_human": format_size(rss),
        "used_memory_dataset": facts["live_bytes"],
        "used_memory_dataset_perc": f"{100 * facts['live_bytes'] / used:.2f}%",
        "used_memory_overhead": memory.upkeep_bytes,
        "used_memory_index": facts["index_bytes"],
        "used_memory_ghosts": facts["ghost_bytes"],
        "used_memory_dead": facts["dead_bytes"],
        "free_memory": facts["free_bytes"],
        "free_memory_reserve": facts["reserve_bytes"],
        "overhead_per_key": f"{memory.overhead_per_key or 0:.1f}",
        "maxmemory": limit,
        "maxmemory_human": format_size(limit),
        "maxmemory_policy": facts["policy"],
        "mem_fragmentation_ratio": f"{rss / used:.2f}",
        "mem_allocator": "segments",
        "segments": facts["segments"],
        "segments_free": facts["segments_free"],
        "table_repairs": facts["repairs"],
    }


def _persistence(snapshot: Snapshot) -> Section:
    return {
        "loading": 0,
        "async_loading": 0,
        "rdb_bgsave_in_progress": 0,
        "aof_enabled": 0,
        "aof_rewrite_in_progress": 0,
    }


def _stats(snapshot: Snapshot) -> Section:
    total = snapshot.total
    return {
        "total_connections_received": total("accepted"),
        "total_commands_processed": total("commands"),
        "total_net_input_bytes": total("bytes_in"),
        "total_net_output_bytes": total("bytes_out"),
        "rejected_connections": total("rejected"),
        "expired_keys": total("expired"),
        "evicted_keys": total("evicted"),
        "ghost_hits": total("ghost_hits"),
        "refused_writes": total("refused"),
        "reclaim_copied_bytes": total("bytes_copied"),
        "reclaim_freed_bytes": snapshot.memory.freed_bytes,
        "reclaim_copied_per_freed": f"{snapshot.memory.copied_per_freed or 0:.2f}",
        "keyspace_hits": total("hits"),
        "keyspace_misses": total("misses"),
        "total_error_replies": total("errors"),
        "total_reads_processed": total("read"),
        "total_writes_processed": total("write"),
        "client_query_buffer_limit_disconnections": total("query_limit_closed"),
        "client_output_buffer_limit_disconnections": total("reply_limit_closed"),
        "eventloop_cycles": total("ticks"),
        "eventloop_duration_sum": total("tick_ns") // 1000,
        "lock_waits": total("lock_waits"),
        "lock_wait_usec": total("lock_wait_ns") // 1000,
        "lock_timeouts": total("lock_timeouts"),
        "lock_takeovers": total("takeovers"),
        "stopped_processes": sum(each.stopped for each in snapshot.usage.values()),
    }


def _replication(snapshot: Snapshot) -> Section:
    run_id = snapshot.context.identity.run_id
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_replid": run_id,
        "master_repl_offset": 0,
    }


def _cpu(snapshot: Snapshot) -> Section:
    usages = snapshot.server_usage
    return {
        "used_cpu_sys": f"{sum(each.system_seconds for each in usages):.6f}",
        "used_cpu_user": f"{sum(each.user_seconds for each in usages):.6f}",
    }


def _commandstats(snapshot: Snapshot) -> Section:
    lines = {}
    rows = [each["commands"] for each in snapshot.workers] + [snapshot.departed["commands"]]
    for number, name in enumerate(snapshot.context.command_names):
        columns = zip(*(each[number] for each in rows), strict=True)
        calls, nanoseconds, failed = (sum(column) for column in columns)
        if calls:
            usec, each = nanoseconds // 1000, nanoseconds / 1000 / calls
            lines[f"cmdstat_{name}"] = (
                f"calls={calls},usec={usec},usec_per_call={each:.2f},"
                f"rejected_calls=0,failed_calls={failed}"
            )
    return lines


def _cluster(snapshot: Snapshot) -> Section:
    return {"cluster_enabled": 0}


def _keyspace(snapshot: Snapshot) -> Section:
    counts = {database: snapshot.context.table.count(database) for database in range(DATABASES)}
    return {
        f"db{database}": f"keys={keys},expires={expiring},avg_ttl=0"
        for database, (keys, expiring) in counts.items()
        if keys
    }


def _workers(snapshot: Snapshot) -> Section:
    lines = {}
    for worker in snapshot.workers:
        counts, usage = worker["counts"], snapshot.usage.get(worker["entry"])
        state = "stopped" if usage and usage.stopped else worker["state"]
        lines[f"worker{worker['index']}"] = (
            f"pid={worker['pid']},state={state},conns={counts['connections']},"
            f"accepts={counts['accepted']},eagain={counts['accept_empty']},"
            f"cmds={counts['commands']},lock_waits={counts['lock_waits']},"
            f"cpu_user={usage.user_seconds if usage else 0:.2f},"
            f"cpu_sys={usage.system_seconds if usage else 0:.2f}"
        )
    return lines


NOT_BY_DEFAULT = {"commandstats"}
SECTIONS: dict[str, Callable[[Snapshot], Section]] = {
    "server": _server,
    "clients": _clients,
    "memory": _memory,
    "persistence": _persistence,
    "stats": _stats,
    "replication": _replication,
    "cpu": _cpu,
    "commandstats": _commandstats,
    "cluster": _cluster,
    "keyspace": _keyspace,
    "workers": _workers,
}

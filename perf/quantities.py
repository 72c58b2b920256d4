"""Turns the counts of a run into named numbers: sums of families, rates, ratios, shares.

The end of a name is its unit: _per_second, _per_command (and other _per_), _share (0 to 1),
_imbalance (the busiest worker over the mean), _bytes, _seconds; anything else is a plain count. A
number that cannot be known is not there at all, so whatever needs it says nothing rather than
something wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from forkkv.perf.events import FAMILIES
from forkkv.perf.parse import Count
from forkkv.perf.process import Process
from forkkv.perf.run import Run

Quantities = dict[str, float]

# name: (what, per what)
RATIOS: Final = {
    "reads_per_command": ("reads", "commands"),
    "data_reads_per_command": ("data_reads", "commands"),
    "commands_per_read": ("commands", "data_reads"),
    "writes_per_command": ("writes", "commands"),
    "writes_per_read": ("writes", "data_reads"),
    "reads_per_write": ("reads", "writes"),
    "accepts_per_command": ("accepted", "commands"),
    "commands_per_accept": ("commands", "accepted"),
    "closes_per_accept": ("closes", "accepted"),
    "accepts_per_read": ("accepted", "reads"),
    "connects_per_write": ("connects", "writes"),
    "closes_per_command": ("closes", "commands"),
    "other_closes_per_command": ("other_closes", "commands"),
    "opens_per_command": ("opens", "commands"),
    "polls_per_command": ("polls", "commands"),
    "vain_polls_per_command": ("vain_polls", "commands"),
    "watches_per_command": ("watches", "commands"),
    "polls_per_write": ("polls", "writes"),
    "rewatches_per_command": ("rewatches", "commands"),
    "connections_per_worker": ("connections", "workers"),
    "futexes_per_command": ("futexes", "commands"),
    "lock_waits_per_command": ("lock_waits", "commands"),
    "fsyncs_per_write": ("fsyncs", "writes"),
    "calls_per_command": ("calls", "commands"),
    "switches_per_command": ("switches", "commands"),
    "cpu_microseconds_per_command": ("cpu_microseconds", "commands"),
    "calls_per_lookup": ("calls", "lookups"),
    "evicted_per_set": ("table_evicted", "sets"),
    "failed_read_share": ("failed_reads", "reads"),
    "failed_write_share": ("failed_writes", "writes"),
    "failed_accept_share": ("failed_accepts", "accepts"),
    "failed_connect_share": ("failed_connects", "connects"),
    "partial_write_share": ("write_partial", "writes"),
    "hit_share": ("hits", "lookups"),
    "miss_share": ("misses", "lookups"),
    "busiest_accept_share": ("busiest_accepted", "accepted"),
    "expired_peak_share": ("expired_peak", "table_expired"),
    "client_write_share": ("writes", "clients_writes"),
    "cpu_share": ("cpu_seconds", "seconds"),
    "busy_share": ("busy_seconds", "seconds"),
    "lock_wait_share": ("lock_wait_seconds", "seconds"),
    "commands_per_second": ("commands", "seconds"),
    "writes_per_second": ("writes", "seconds"),
    "reads_per_second": ("reads", "seconds"),
    "connects_per_second": ("connects", "seconds"),
    "vain_polls_per_second": ("vain_polls", "seconds"),
    "calls_per_second": ("calls", "seconds"),
    "lookups_per_second": ("lookups", "seconds"),
    "evicted_per_second": ("table_evicted", "seconds"),
    "expired_per_second": ("table_expired", "seconds"),
    "minor_faults_per_second": ("minor_faults", "seconds"),
    "minor_faults_per_cpu_second": ("minor_faults", "cpu_seconds"),
    "bytes_per_cpu_second": ("moved_bytes", "cpu_seconds"),
    "bytes_per_read": ("bytes_in", "data_reads"),
    "bytes_per_write": ("bytes_out", "writes"),
    "expired_share": ("table_expired", "table_keys"),
    "commands_per_client_write": ("server_commands", "clients_writes"),
    "client_reads_per_server_write": ("clients_reads", "server_writes"),
    "bytes_per_client_read": ("server_bytes_out", "clients_reads"),
}
FAILED: Final = {
    "failed_reads": ("read", "recvfrom"),
    "failed_writes": ("write", "sendto"),
    "failed_accepts": ("accept4",),
    "failed_connects": ("connect",),
}
# What a process counts itself, as it counts it.
OWN: Final = ("commands", "hits", "misses", "sets", "lock_waits", "lock_timeouts", "takeovers",
              "write_partial", "refused")  # fmt: skip
USED: Final = ("minor_faults", "major_faults", "voluntary_switches", "involuntary_switches",
               "user_seconds", "system_seconds")  # fmt: skip
OF_TABLE: Final = ("hits", "misses", "sets", "refused", "lock_waits", "lock_wait_seconds",
                   "lock_timeouts", "takeovers")  # fmt: skip
WAITS: Final = ("lock_wait_share", "lock_wait_seconds", "lock_timeouts")
DERIVED: Final = ("accepted", "rewatches", "vain_polls", "data_reads", "lookups", "other_closes",
                  "idle_share", "switches", "cpu_microseconds")  # fmt: skip
# Where commands are only estimated by reads, nothing can be said of commands per read.
OF_READS: Final = ("reads_per_command", "data_reads_per_command", "commands_per_read")


def of_process(process: Process, seconds: float) -> Quantities:
    """Every number that is known of one process."""
    known: Quantities = {"seconds": seconds}
    for family, calls in FAMILIES.items():
        _put(known, family, _sum(process.calls, calls))
    for name, calls in FAILED.items():
        _put(known, name, _sum(process.failed, calls))
    known |= {name: float(round(process.own[name].best)) for name in OWN if name in process.own}
    known |= {name: process.usage[name] for name in USED if name in process.usage}
    if "lock_wait_ns" in process.own:
        known["lock_wait_seconds"] = process.own["lock_wait_ns"].best / 1e9
    if process.connections is not None:
        came = process.own["accepted"].least > 0 if "accepted" in process.own else False
        known["connections"] = float(max(process.connections, came))  # or it was not seen
    known |= _bytes(process)
    _put(known, "cpu_seconds", process.cpu_seconds.value)
    if process.cpu_seconds.value is not None and "runqueue_seconds" in process.usage:
        known["busy_seconds"] = process.cpu_seconds.value + process.usage["runqueue_seconds"]
    _put(known, "calls", process.total.value)
    if process.source == "forkkv" and process.own_calls:
        known["calls"] = float(sum(round(own.best) for own in process.own_calls.values()))
    known["stopped"] = float(process.stopped)
    return derive(known, estimate=process.role == "worker" and not process.in_table)


def _bytes(process: Process) -> Quantities:
    """Bytes in and out. /proc knows those of read() and write(), not of recv() and send()."""
    if "bytes_in" in process.own:
        came, left = process.own["bytes_in"].best, process.own["bytes_out"].best
    elif "read_bytes" in process.usage:
        came, left = process.usage["read_bytes"], process.usage["written_bytes"]
    else:
        return {}
    known = {"bytes_in": came, "bytes_out": left, "moved_bytes": came + left}
    return {name: value for name, value in known.items() if value}


def of_clients(run: Run, server: Quantities | None = None) -> list[Quantities]:
    """Every number of each client, with what the server did for all of them together.

    `server` is of_server(run), where that was worked out already.
    """
    each = [of_process(process, run.seconds) for process in run.clients]
    if any("writes" not in known for known in each):
        return each
    together = {"clients": float(len(each))}
    for name in ("writes", "reads"):
        if all(name in known for known in each):
            together[f"clients_{name}"] = sum(known[name] for known in each)
    server = server or of_server(run)
    for name in ("commands", "writes", "bytes_out"):
        _put(together, f"server_{name}", server.get(name))
    return [derive({**known, **together}) for known in each]


def of_processes(run: Run, server: Quantities | None = None) -> list[Quantities]:
    """Every number of each process that serves, with how its locks kept the others waiting.

    `server` is of_server(run), where that was worked out already.
    """
    server = server or of_server(run)
    waits = {f"server_{name}": server[name] for name in WAITS if name in server}
    return [{**of_process(process, run.seconds), **waits} for process in run.server]


def of_server(run: Run) -> Quantities:
    """Sums over the processes of the server, how evenly its workers share the work, its table.

    A worker that did not live to tell its own counters is left out, as its commands are unknown
    and its calls would spoil every ratio; unless no worker has any.
    """
    telling = [process for process in run.server if process.own] or run.server
    each = [_of_table(p, of_process(p, run.seconds)) for p in telling]
    shares = [known for p, known in zip(telling, each, strict=True) if p.role == "worker"]
    total: Quantities = {"seconds": run.seconds, "workers": float(len(shares)), **run.table}
    total |= _sums(each, {name for known in each for name in known})
    total["respawns"] = _respawns(run, total.get("forks", 0.0))
    if run.moments and "table_expired" in total:
        total["expired_peak"] = max(moment.table.get("table_expired", 0) for moment in run.moments)
    for name, imbalance in (("accepted", "accept_imbalance"), ("commands", "command_imbalance")):
        _put(total, imbalance, _imbalance([known.get(name) for known in shares]))
    if "accept_imbalance" in total:
        total["busiest_accepted"] = max(known.get("accepted", 0.0) for known in shares)
    return derive(total)


def _of_table(process: Process, known: Quantities) -> Quantities:
    """What an attached program does to the table is the server's matter, its own calls are not."""
    if process.role != "attached":
        return known
    return {name: value for name, value in known.items() if name in OF_TABLE}


def _respawns(run: Run, forks: float) -> float:
    """How many processes of the server took the place of one that ended.

    The kernel counted each fork; looking now and then misses those that ended at once. Where no
    master of ours forks, a child that came may as well have a job of its own.
    """
    came = sum(process.newcomer and process.role != "attached" for process in run.server)
    if run.facts["table"] is None:
        return float(min(came, sum("ended" in process.note for process in run.server)))
    return max(0.0, max(forks, came) - max(0.0, run.table.get("table_grown", 0.0)))


def of_role(run: Run, role: str) -> Quantities:
    """Sums over the processes of one role, of what is known of each of them; empty without any.

    Clients are seen beside the commands that the server ran for them. A worker that did not live to
    tell its own counters is left out, as in `of_server`.
    """
    alike = [process for process in run.processes if process.role == role]
    telling = [process for process in alike if process.own] or alike
    each = [of_process(process, run.seconds) for process in telling]
    if not each:
        return {}
    total = _sums(each, set.intersection(*(set(known) for known in each)))
    if role == "client" and "writes" in total:
        total["clients_writes"] = total["writes"]
        _put(total, "server_commands", of_server(run).get("commands"))
    return derive({"seconds": run.seconds, **total})


def _sums(each: Iterable[Quantities], names: set[str]) -> Quantities:
    """Adds up what can be added: no ratios, and nothing that is derived anew from the sums."""
    listed = list(each)
    summed = sorted(names - {"seconds", *DERIVED, *RATIOS})
    return {name: sum(known.get(name, 0.0) for known in listed) for name in summed}


def derive(known: Quantities, estimate: bool = False) -> Quantities:
    """Adds what follows from the counts, as far as what it follows from is known.

    `estimate`: this server does not count its commands; one is taken for each read that brought
    data, and `estimated` says so.
    """
    if "accepts" in known:
        known["accepted"] = known["accepts"] - known.get("failed_accepts", 0)
    if "reads" in known and "closes" in known:
        known["data_reads"] = _data_reads(known)
        known["other_closes"] = max(0.0, known["closes"] - known.get("accepted", 0))
    if estimate and "commands" not in known and "data_reads" in known:
        known["data_reads"] = max(known["data_reads"], _answered(known))
        known |= {"commands": known["data_reads"], "estimated": 1.0}
    if known.get("estimated"):
        known["data_reads"] = known["commands"]
    if "watches" in known and "accepted" in known:
        # A connection costs three: added, removed, and the listener may be left for a while.
        known["rewatches"] = max(0.0, known["watches"] - 3 * known["accepted"])
    if "polls" in known and "reads" in known:
        known["vain_polls"] = max(0.0, known["polls"] - known["reads"] - known.get("accepts", 0))
    if "hits" in known and "misses" in known:
        known["lookups"] = known["hits"] + known["misses"]
    if "voluntary_switches" in known and "involuntary_switches" in known:
        known["switches"] = known["voluntary_switches"] + known["involuntary_switches"]
    if "cpu_seconds" in known:
        known["cpu_microseconds"] = known["cpu_seconds"] * 1e6
    for name, (what, per) in RATIOS.items():
        if what in known and known.get(per, 0) > 0 and not _unknowable(name, known):
            known[name] = known[what] / known[per]
    if "cpu_share" in known:
        known["idle_share"] = max(0.0, 1 - known["cpu_share"])
    return known


def _data_reads(known: Quantities) -> float:
    """The reads that brought data: a connection's last one finds its end, and brings none."""
    ends = min(known["closes"], known.get("accepted", 0))
    return max(0.0, known["reads"] - known.get("failed_reads", 0) - ends)


def _answered(known: Quantities) -> float:
    """As many reads as were answered, if the server ends connections before it reads their end."""
    return min(known["reads"] - known.get("failed_reads", 0), known.get("writes", 0))


def _unknowable(name: str, known: Quantities) -> bool:
    return name in OF_READS and bool(known.get("estimated"))


def _put(known: Quantities, name: str, value: float | None) -> None:
    if value is not None:
        known[name] = value


def _sum(counts: Mapping[str, Count], calls: Iterable[str]) -> float | None:
    """The sum of a family. A call that this kernel lacks adds nothing; None if none is known."""
    values = [v for call in calls if call in counts and (v := counts[call].value) is not None]
    return sum(values) if values else None


def _imbalance(values: list[float | None]) -> float | None:
    """The largest over the mean: 1 when all are level."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or sum(known) == 0:
        return None
    return max(known) * len(known) / sum(known)

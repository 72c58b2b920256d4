"""Turns the counts of a run into named numbers: sums of families, rates, ratios, shares.

The end of a name is its unit: _per_second, _per_command (and other _per_), _share (0 to 1),
_imbalance (the busiest worker over the mean); anything else is a plain count. A number that cannot
be known is not there at all, so whatever needs it says nothing rather than something wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from forkkv.perf.events import FAMILIES
from forkkv.perf.parse import Count
from forkkv.perf.run import Process, Run

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
    "vain_polls_per_command": ("vain_polls", "commands"),
    "polls_per_write": ("polls", "writes"),
    "rewatches_per_command": ("rewatches", "commands"),
    "connections_per_worker": ("connections", "workers"),
    "futexes_per_command": ("futexes", "commands"),
    "lock_waits_per_command": ("lock_waits", "commands"),
    "fsyncs_per_write": ("fsyncs", "writes"),
    "calls_per_command": ("calls", "commands"),
    "failed_read_share": ("failed_reads", "reads"),
    "failed_write_share": ("failed_writes", "writes"),
    "failed_accept_share": ("failed_accepts", "accepts"),
    "failed_connect_share": ("failed_connects", "connects"),
    "partial_write_share": ("write_partial", "writes"),
    "hit_share": ("hits", "lookups"),
    "cpu_share": ("cpu_seconds", "seconds"),
    "commands_per_second": ("commands", "seconds"),
    "writes_per_second": ("writes", "seconds"),
    "reads_per_second": ("reads", "seconds"),
    "vain_polls_per_second": ("vain_polls", "seconds"),
    "commands_per_client_write": ("server_commands", "clients_writes"),
    "calls_per_second": ("calls", "seconds"),
}
FAILED: Final = {
    "failed_reads": ("read",),
    "failed_writes": ("write",),
    "failed_accepts": ("accept4",),
    "failed_connects": ("connect",),
}
OWN: Final = ("commands", "hits", "misses", "lock_waits", "write_partial", "refused")
DERIVED: Final = (
    "accepted",
    "rewatches",
    "vain_polls",
    "data_reads",
    "lookups",
    "other_closes",
    "idle_share",
)


def of_process(process: Process, seconds: float) -> Quantities:
    """Every number that is known of one process."""
    known: Quantities = {"seconds": seconds}
    for family, calls in FAMILIES.items():
        _put(known, family, _sum(process.calls, calls))
    for name, calls in FAILED.items():
        _put(known, name, _sum(process.failed, calls))
    for name in OWN:
        if name in process.own:
            known[name] = float(round(process.own[name].best))
    if process.connections is not None and "accepted" in process.own:
        known["connections"] = process.connections + process.own["accepted"].least
    _put(known, "cpu_seconds", process.cpu_seconds.value)
    _put(known, "calls", process.total.value)
    if process.source == "forkkv" and process.own_calls:
        known["calls"] = float(sum(round(own.best) for own in process.own_calls.values()))
    return derive(known)


def of_clients(run: Run) -> list[Quantities]:
    """Every number of each client, with what the server did for all of them together."""
    each = [of_process(process, run.seconds) for process in run.clients]
    served, writes = of_server(run).get("commands"), [known.get("writes") for known in each]
    if served is None or None in writes:
        return each
    together = {"server_commands": served, "clients_writes": sum(w for w in writes if w)}
    return [derive({**known, **together}) for known in each]


def of_server(run: Run) -> Quantities:
    """Sums over the processes of the server, and how evenly its workers share the work.

    A worker that did not live to tell its own counters is left out, as its commands are unknown
    and its calls would spoil every ratio; unless no worker has any.
    """
    telling = [process for process in run.server if process.own] or run.server
    workers = [process for process in telling if process.role == "worker"]
    each = [of_process(process, run.seconds) for process in telling]
    total: Quantities = {"seconds": run.seconds, "workers": float(len(workers))}
    counted = {name for known in each for name in known}
    for name in sorted(counted - {"seconds", "idle_share", *DERIVED, *RATIOS}):
        total[name] = sum(known.get(name, 0.0) for known in each)
    total["newcomers"] = float(sum("started during" in p.note for p in run.server))
    shares = [of_process(process, run.seconds) for process in workers]
    for name, imbalance in (("accepted", "accept_imbalance"), ("commands", "command_imbalance")):
        _put(total, imbalance, _imbalance([known.get(name) for known in shares]))
    return derive(total)


def derive(known: Quantities) -> Quantities:
    """Adds what follows from the counts, as far as what it follows from is known."""
    if "accepts" in known:
        known["accepted"] = known["accepts"] - known.get("failed_accepts", 0)
    if "reads" in known and "closes" in known:
        # A connection's last read finds its end, and brings no data.
        ends = min(known["closes"], known.get("accepted", 0))
        known["data_reads"] = max(0.0, known["reads"] - known.get("failed_reads", 0) - ends)
        known["other_closes"] = max(0.0, known["closes"] - known.get("accepted", 0))
    if "watches" in known and "accepted" in known:
        # A connection costs three: added, removed, and the listener may be left for a while.
        known["rewatches"] = max(0.0, known["watches"] - 3 * known["accepted"])
    if "polls" in known and "reads" in known:
        known["vain_polls"] = max(0.0, known["polls"] - known["reads"] - known.get("accepts", 0))
    if "hits" in known and "misses" in known:
        known["lookups"] = known["hits"] + known["misses"]
    for name, (what, per) in RATIOS.items():
        if what in known and known.get(per, 0) > 0:
            known[name] = known[what] / known[per]
    if "cpu_share" in known:
        known["idle_share"] = max(0.0, 1 - known["cpu_share"])
    return known


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


def in_words(name: str, value: float) -> str:
    """A number as a report shows it, by the unit in its name."""
    if name.endswith("_share"):
        return f"{value * 100:.0f}%"
    if name.endswith("_per_second"):
        return f"{value:,.0f}/s" if value >= 10 else f"{value:.1f}/s"
    if "_per_" in name or name.endswith("_imbalance"):
        return f"{value:.2f}"
    if name.endswith("seconds"):
        return f"{value:.2f} s"
    return f"{value:,.0f}"

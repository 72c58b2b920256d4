"""What a table's processes did between two readings: a row of numbers each, totals and findings."""

import os
import time
from dataclasses import dataclass
from typing import Final

from forkkv.perf import diagnose
from forkkv.perf.diagnose import SERVER, Finding
from forkkv.perf.process import Process
from forkkv.perf.quantities import Quantities, of_process
from forkkv.perf.run import Json
from forkkv.perf.targets import label_of
from forkkv.perf.top.live import (
    SERVER_ROLES,
    Key,
    keyed,
    process_between,
    run_between,
    seconds_between,
)
from forkkv.stats import read_stats

TABLE_COUNTS: Final = ("evicted", "expired", "refused")
SUMMED: Final = ("connections", "commands", "cpu_seconds", "private_bytes")


@dataclass(frozen=True)
class Row:
    """One process. `now`: its entry of the later reading. `known`: see perf/quantities.py."""

    key: Key
    now: Json
    known: Quantities
    process: Process | None = None  # None: it stands for all of the server together

    @property
    def label(self) -> str:
        """Its name in a table, where its pid stands beside it."""
        role = str(self.now["role"])
        return label_of(self.now) if role == "worker" else role

    def per_second(self, name: str) -> float | None:
        """How often it happened per second; None when it is not known, as in a first reading."""
        if name not in self.known or not self.known["seconds"]:
            return None
        return self.known[name] / self.known["seconds"]


@dataclass(frozen=True)
class Interval:
    """What happened up to `reading`. `seconds` is 0 when there is nothing to compare it with."""

    reading: Json
    seconds: float
    rows: tuple[Row, ...]
    server: Row
    table: dict[str, float | None]  # TABLE_COUNTS per second
    findings: tuple[Finding, ...]

    @property
    def uptime(self) -> float | None:
        """Seconds since the master started; None without a living one."""
        for row in self.rows:
            if row.now["role"] == "master" and row.now["alive"]:
                started = float(row.now["start_ticks"] / os.sysconf("SC_CLK_TCK"))
                return max(0.0, float(self.reading["boot_seconds"]) - started)
        return None


def read_now(name: str) -> Json:
    """read_stats() with the seconds since boot added. Raises as read_stats()."""
    reading = read_stats(name)
    return reading | {"boot_seconds": time.clock_gettime(time.CLOCK_BOOTTIME)}


def between(earlier: Json | None, later: Json) -> Interval:
    """Compares two readings. Without an earlier one of the same table there are no rates."""
    if earlier is None or not _same_table(earlier, later):
        earlier = later
    seconds = seconds_between(earlier, later)
    before = dict(keyed(earlier))
    rows = []
    for key, entry in keyed(later):
        process = process_between(before.get(key), entry)
        rows.append(Row(key, entry, of_process(process, seconds), process))
    judged = diagnose.subjects(run_between(earlier, later))
    found = diagnose.findings(judged) if seconds else []
    rates = {name: _rate(earlier, later, name, seconds) for name in TABLE_COUNTS}
    server = _together(rows, judged[-1].known)
    return Interval(later, seconds, tuple(rows), server, rates, tuple(found))


def _together(rows: list[Row], known: Quantities) -> Row:
    """The server as one: the attached programs are not its own."""
    own = [row.now for row in rows if row.now["role"] in SERVER_ROLES and row.now["alive"]]
    now: Json = {"role": SERVER, "pid": None, "alive": True, "stopped": False, "state": ""}
    for name in SUMMED:
        values = [entry[name] for entry in own if entry[name] is not None]
        now[name] = sum(values) if values else None
    return Row((SERVER,), now, known)


def _same_table(earlier: Json, later: Json) -> bool:
    identity = ("created_ms", "incarnation")
    return all(earlier["table"][name] == later["table"][name] for name in identity)


def _rate(earlier: Json, later: Json, name: str, seconds: float) -> float | None:
    growth = max(0, later["memory"][name] - earlier["memory"][name])
    return growth / seconds if seconds else None

"""Counting by perf: when it may be interrupted without losing what it counted."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from forkkv.perf.perf_stat import PerfStat


class Perf(SimpleNamespace):
    """A perf that answers, and then is busy for some looks before it waits again."""

    running = True

    @property
    def asleep(self) -> bool:
        self.looks += 1
        return bool(self.looks > self.busy)


def test_the_window_is_closed_once_every_perf_waits_again(tmp_path: Path) -> None:
    source = PerfStat(tmp_path, tmp_path, lambda _: [], aligned=True, interval=1.0)
    perfs: dict[str, Any] = {"a": Perf(looks=0, busy=3), "b": Perf(looks=0, busy=0)}
    ends = []
    for label, perf in perfs.items():
        (orders, control), (acknowledge, answer) = os.pipe(), os.pipe()
        os.write(answer, b"ack\n\0")
        source.children[label], source.pipes[label] = perf, (control, acknowledge)
        source.pids[label] = os.getpid()
        ends += [orders, control, acknowledge, answer]
    source.disable()
    assert [perf.looks for perf in perfs.values()] == [4, 1]
    for end in ends:
        os.close(end)

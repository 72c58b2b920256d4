"""Which processes have stopped giving signs of life."""

from collections.abc import Mapping
from dataclasses import dataclass

GAP_SECONDS = 3.0  # the watcher looks more often than this, unless it was stopped itself


@dataclass
class _Sign:
    heartbeat: int
    seen: float


class StallWatch:
    """Watches heartbeats change; their values mean nothing to it.

    Only time that the watcher itself was awake counts: after a stop of the whole group of
    processes (Ctrl-Z, a frozen container) everyone gets a fresh allowance.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self.signs: dict[int, _Sign] = {}
        self.last_look: float | None = None

    def stalled(self, heartbeats: Mapping[int, int], now: float) -> list[int]:
        """The pids whose heartbeat has not changed for the limit. `now` is monotonic seconds."""
        slept = self.last_look is not None and now - self.last_look > GAP_SECONDS
        self.last_look = now
        self.signs = {pid: self._look(pid, beat, now, slept) for pid, beat in heartbeats.items()}
        return [pid for pid, sign in self.signs.items() if now - sign.seen > self.limit_seconds]

    def _look(self, pid: int, heartbeat: int, now: float, slept: bool) -> _Sign:
        known = self.signs.get(pid)
        if known is None or slept or known.heartbeat != heartbeat:
            return _Sign(heartbeat, now)
        return known

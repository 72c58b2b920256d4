"""Latencies in logarithmic buckets: any percentile within 1 %, in a fixed small memory.

The first 256 buckets are one nanosecond wide; from there each doubling is cut into 128 buckets,
so a bucket is never wider than 1/128 of its values. This is the idea of HdrHistogram.
"""

from __future__ import annotations

_BUCKETS_PER_DOUBLING = 128
_WIDTH_BITS = 8  # a value of so many bits is its own bucket
_MAX_BITS = 63
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Latency:
    """Counts durations in nanoseconds; knows their percentiles and the exact maximum."""

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS_PER_DOUBLING * (_MAX_BITS - _WIDTH_BITS + 2))
        self.count = 0
        self.max_ns = 0

    def record(self, duration_ns: int, count: int = 1) -> None:
        """Add `count` operations that each took `duration_ns` (0 or more)."""
        shift = max(0, duration_ns.bit_length() - _WIDTH_BITS)
        self._counts[shift * _BUCKETS_PER_DOUBLING + (duration_ns >> shift)] += count
        self.count += count
        if duration_ns > self.max_ns:
            self.max_ns = duration_ns

    def percentile_ns(self, percent: float) -> int:
        """Return the duration that `percent` % of the operations did not exceed, rounded up to
        the end of its bucket; 0 when nothing was recorded."""
        wanted = self.count * percent / 100
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_last_value(bucket), self.max_ns)
        return 0

    def summary_us(self) -> dict[str, float]:
        """Return {"p50": ..., "p90": ..., "p99": ..., "p99.9": ..., "max": ...} in microseconds."""
        summary = {f"p{percent:g}": self.percentile_ns(percent) / 1e3 for percent in PERCENTILES}
        return summary | {"max": self.max_ns / 1e3}


def _last_value(bucket: int) -> int:
    """Return the largest duration that falls into `bucket`."""
    shift = max(0, bucket // _BUCKETS_PER_DOUBLING - 1)
    return ((bucket - shift * _BUCKETS_PER_DOUBLING + 1) << shift) - 1

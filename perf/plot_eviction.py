"""Draws miss ratio by memory limit, a line for each cache, into a PNG file."""

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot

STYLES = {  # colours that stay apart in grey, and markers for who sees neither
    "forkkv s3fifo": ("#0b6e4f", "o", "-"),
    "redis allkeys-lru": ("#c1121f", "s", "-"),
    "redis allkeys-lfu": ("#f4a261", "^", "-"),
    "memcached": ("#3a86ff", "D", "-"),
}
OTHERS = {"LRU": ("#888888", "", "--"), "S3-FIFO": ("#222222", "", ":")}


def plot(title: str, keys: int, lines: dict[str, list[tuple[float, float]]], folder: Path) -> Path:
    """`lines`: for each cache its points, (MiB, misses per request). Returns the file."""
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=110)
    for name, points in lines.items():
        colour, marker, dashes = STYLES.get(name) or OTHERS[name.split(",")[0]]
        limits = [limit for limit, _ in points]
        misses = [100 * miss for _, miss in points]
        axes.plot(limits, misses, dashes, color=colour, marker=marker, label=name)
    axes.set_xscale("log", base=2)
    ticks = [limit for limit, _ in next(iter(lines.values()))]
    axes.set_xticks(ticks, [f"{limit:.0f}" for limit in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("memory limit, MiB (where redis-server holds 5, 10, 20, 40 % of the keys)")
    axes.set_ylabel("misses, % of requests")
    axes.set_title(f"{title}, {keys:,} keys of 16 + 100 bytes, look-aside")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"miss-ratio-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.png"
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path

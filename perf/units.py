"""How a quantity is written, for people and for programs: by the unit at the end of its name."""

from typing import Final

UNITS: Final = {  # by the end of the name; the first that fits
    "bytes_per_cpu_second": "bytes per CPU second",
    "microseconds_per_command": "microseconds per command",
    "bytes_per_read": "bytes per read",
    "bytes_per_write": "bytes per write",
    "microseconds": "microseconds",
    "_share": "share of 1",
    "_imbalance": "times the mean",
    "_per_cpu_second": "per CPU second",
    "_per_second": "per second",
    "_bytes": "bytes",
    "seconds": "seconds",
}


def in_words(name: str, value: float) -> str:
    """A number as a report shows it, by the unit in its name."""
    if name.endswith("_share"):
        return f"{value * 100:.0f}%"
    if name == "bytes_per_cpu_second":
        return f"{value / 1e6:,.0f} MB per CPU second"
    if name.endswith("_bytes"):
        return f"{value / 1e6:,.1f} MB"
    if name.endswith("_per_second"):
        return f"{value:,.0f}/s" if value >= 10 else f"{value:.1f}/s"
    if name.endswith("_per_cpu_second"):
        return f"{value:,.0f} per CPU second"
    if "_per_" in name or name.endswith("_imbalance"):
        return f"{value:.2f}"
    if name.endswith("microseconds"):
        return f"{value:,.0f} us"
    if name.endswith("seconds"):
        return f"{value:.2f} s"
    return f"{value:,.0f}"


def unit_of(name: str) -> str:
    """The unit of a quantity, for programs."""
    for end, unit in UNITS.items():
        if name.endswith(end):
            return unit
    return "per " + name.partition("_per_")[2].replace("_", " ") if "_per_" in name else "count"

"""All rules, and the order of their situations: the strongest first.

First what keeps clients from being served, then what wastes most, then what is worth knowing.
Within each, a cause stands before what it causes: a full table before the retries that it leads to.
The names of situations are stable.
"""

from typing import Final

from forkkv.perf import client_rules, normal_rules, prefork_rules, study_rules
from forkkv.perf.rule import Rule

# severity: its situations in order of strength
STRENGTH: Final = {
    3: ("stopped-holder", "respawn-loop", "table-full", "worker-replaced"),
    2: (
        "frequent-fsync",
        "thundering-herd",
        "connection-churn",
        "many-connects",
        "descriptor-churn",
        "eagain-storm",
        "slow-reader",
        "small-reads",
        "small-writes",
        "lock-contention",
        "eviction-storm",
        "expiry-burst",
        "unfair-accept",
        "hot-worker",
        "rewatching",
        "spinning",
    ),
    1: (
        "request-heavy-client",
        "memory-bound",
        "page-faults",
        "double-calls",
        "chatty",
        "shallow-pipeline",
        "cpu-bound",
        "blind",
        "idle",
    ),
}
WORDS: Final = ("healthy", "minor", "moderate", "serious")  # of the severities 0 to 3
HEALTHY: Final = "healthy"  # when none of these applies
SEVERITY: Final = {name: weight for weight, names in STRENGTH.items() for name in names}
_PLACE: Final = {name: place for place, name in enumerate(SEVERITY)}

_WRITTEN: Final = (*study_rules.RULES, *prefork_rules.RULES, *client_rules.RULES)
FINDINGS: Final[tuple[Rule, ...]] = tuple(sorted(_WRITTEN, key=lambda r: _PLACE[r.situation]))
RULES: Final[tuple[Rule, ...]] = (*FINDINGS, *normal_rules.RULES)

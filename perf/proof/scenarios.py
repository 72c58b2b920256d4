"""Every scenario by the name of its situation."""

from collections.abc import Callable
from typing import Final

from forkkv.perf.proof import prefork_scenarios as prefork
from forkkv.perf.proof import study_scenarios as study
from forkkv.perf.proof.stage import Stage

# Makes its situation on the stage; when the second argument is true, what is near it instead.
Scenario = Callable[[Stage, bool], None]

_PLAYED: Final[tuple[Scenario, ...]] = (
    study.idle,
    study.request_heavy_client,
    study.small_reads,
    study.small_writes,
    study.connection_churn,
    study.descriptor_churn,
    study.many_connects,
    study.chatty,
    study.frequent_fsync,
    prefork.unfair_accept,
    prefork.thundering_herd,
    prefork.hot_worker,
    prefork.lock_contention,
    prefork.stopped_holder,
    prefork.table_full,
    prefork.eviction_storm,
    prefork.expiry_burst,
    prefork.shallow_pipeline,
    prefork.slow_reader,
    study.eagain_storm,
    prefork.respawn_loop,
    study.cpu_bound,
    prefork.memory_bound,
    prefork.page_faults,
    study.healthy,
)
SCENARIOS: Final = {scenario.__name__.replace("_", "-"): scenario for scenario in _PLAYED}


def told(scenario: Scenario) -> tuple[str, str]:
    """What is done to make the situation, and what for its neighbour."""
    made, near = (scenario.__doc__ or "").strip().split("\n\n")
    return " ".join(made.split()), " ".join(near.split())

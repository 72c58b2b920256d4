"""The table's protocols hold on a weak memory, and each order and check in them is needed."""

import re
from pathlib import Path

import pytest
from memory_model import CHECKS, NOT_MISSED, ORDERS, PROGRAMS, Control, judge
from weak_memory import Verdict, explore

SHM = Path(__file__).parent.parent / "shm"


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    return {name: explore(build("")) for name, build in PROGRAMS.items()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_protocol_holds(name: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[name]
    assert verdict.wrong is None, "\n".join(verdict.trace)
    assert verdict.outcomes


@pytest.mark.parametrize("control", ORDERS, ids=lambda control: " and ".join(control.orders))
def test_without_the_order_it_does_not(control: Control) -> None:
    verdict = judge(control, shortest=False)
    assert verdict.wrong is not None


@pytest.mark.parametrize(
    "control", CHECKS, ids=lambda control: f"{control.check} ({control.program})"
)
def test_without_the_check_it_does_not(control: Control) -> None:
    verdict = judge(control, shortest=False)
    assert verdict.wrong is not None


def test_every_order_is_either_missed_or_has_a_reason_not_to_be(
    verdicts: dict[str, Verdict],
) -> None:
    found = {order for verdict in verdicts.values() for order in verdict.orders}
    missed = {control.orders[0] for control in ORDERS if len(control.orders) == 1}
    assert not missed & set(NOT_MISSED)
    ours = {order for order in found if not order.startswith("model: ")}
    assert ours == missed | set(NOT_MISSED)


def test_every_step_names_a_function_of_the_table(verdicts: dict[str, Verdict]) -> None:
    source = "".join(path.read_text() for path in [*SHM.glob("*.c"), *SHM.glob("*.h")])
    steps = {says for verdict in verdicts.values() for says in verdict.says}
    functions = {says.split(":")[0] for says in steps} - {"model"}
    missing = [name for name in functions if not re.search(rf"\b{name}\(", source)]
    assert not missing

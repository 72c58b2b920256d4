"""Two runs beside each other: real changes are found, chance is called noise, wrong input helps."""

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result
from golden import COMPARED, DATA, render_comparison
from made_run import calls, client, make_run, quiet, run_of_moments, worker

from forkkv.perf import comparison
from forkkv.perf.command import report
from forkkv.perf.compare import CLIENT, SERVER, changes, compare
from forkkv.perf.quantities import RATIOS
from forkkv.perf.render import WIDTH, to_text
from forkkv.perf.run import Run, load

CHANGED = ("lower", "higher", "small")
BUSY = {"commands": 1000.0, "read": 1000.0, "write": 1000.0, "futex": 300.0, "total": 3300.0}


def poisson(draw: Random, mean: float) -> float:
    """A random count: exact for small means, nearly normal for large ones."""
    if mean > 50:
        return float(max(0, round(draw.gauss(mean, math.sqrt(mean)))))
    limit, product, count = math.exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        count += 1
    return float(count)


def at_random(seed: str, moments: int = 6, uneven: float = 0.0, **means: float) -> Run:
    """A run whose counts come at random. `uneven`: how much a moment's rates differ."""
    draw = Random(seed)
    parts = []
    for _ in range(moments):
        part = {}
        for name, mean in (BUSY | means).items():
            swing = math.exp(draw.gauss(0, uneven)) if uneven else 1.0
            part[name] = poisson(draw, mean * swing)
        parts.append(part)
    return run_of_moments(*parts)


def verdicts(a: Run, b: Run) -> dict[str, str]:
    return {each.quantity: each.verdict for each in changes(a, b) if each.subject == "server"}


def told(a: Run, b: Run) -> str:
    return to_text(compare(a, b), layout=comparison.sections)


def invoke(*arguments: Path | str) -> Result:
    return CliRunner().invoke(report, [str(argument) for argument in arguments])


@pytest.mark.parametrize("moments", [1, 6, 12])
def test_a_real_change_is_found_and_the_rest_is_left_alone(moments: int) -> None:
    a, b = at_random("a", moments), at_random("b", moments, futex=100.0, total=3100.0)
    found = verdicts(a, b)
    assert found["futexes_per_command"] == "lower"
    assert found["reads_per_command"] in ("noise", "same")
    text = told(a, b)
    assert "futexes per command" in text.partition("Noise:")[0]
    assert "reads per command" in text.partition("Noise:")[2]


def test_a_run_beside_itself_has_not_changed() -> None:
    run = at_random("a")
    assert {each.verdict for each in changes(run, run)} == {"same"}
    assert "copies of one run" in told(run, run)


def test_equal_rates_are_called_noise_in_nineteen_of_twenty_pairs() -> None:
    pairs = 200
    wrong = sum(
        any(
            each.verdict in CHANGED
            for each in changes(at_random(f"a{i}", i % 10 + 1), at_random(f"b{i}", i % 10 + 1))
        )
        for i in range(pairs)
    )
    assert wrong <= 0.05 * pairs


def test_counts_that_come_in_bursts_are_not_called_significant() -> None:
    """Alone, each pair of sums differs by far more than counts at random would."""
    pairs = 40
    judged = [
        changes(at_random(f"c{i}", 10, uneven=0.6), at_random(f"d{i}", 10, uneven=0.6))
        for i in range(pairs)
    ]
    wrong = sum(any(each.verdict in CHANGED for each in rows) for rows in judged)
    sums = [
        changes(*(run_of_moments(_sum(at_random(f"{side}{i}", 10, uneven=0.6))) for side in "cd"))
        for i in range(pairs)
    ]
    naive = sum(any(each.verdict in CHANGED for each in rows) for rows in sums)
    assert naive > pairs / 2
    assert wrong <= 0.05 * pairs


def _sum(run: Run) -> dict[str, float]:
    (process,) = run.processes
    counts = {name: float(count.value or 0) for name, count in process.calls.items()}
    total = float(process.total.value or 0)
    return counts | {"commands": process.own["commands"].best, "total": total}


def test_a_sure_change_of_little_is_called_small() -> None:
    big = {"commands": 1e7, "read": 1e7, "total": 1e7}
    found = verdicts(run_of_moments(big), run_of_moments(big | {"read": 1.02e7}))
    assert found["reads_per_command"] == "small"


def test_few_events_and_few_moments_are_said_to_be_too_little() -> None:
    few = {"commands": 1000.0, "read": 1000.0, "accept4": 1.0, "cpu_seconds": 0.1}
    a, b = run_of_moments(few), run_of_moments(few | {"accept4": 5.0, "cpu_seconds": 0.2})
    found = verdicts(a, b)
    assert (
        found["accepts_per_command"] == found["cpu_microseconds_per_command"] == ("too little data")
    )
    assert "Too few events to judge: accepts per command (x5.0)" in told(a, b)
    assert "for want of 5 moments in each run" in told(a, b)


def test_with_moments_rates_and_times_are_judged() -> None:
    steady = [{"commands": 1000.0 + i, "cpu_seconds": 0.5} for i in range(8)]
    faster = [{"commands": 2000.0 + i, "cpu_seconds": 0.5} for i in range(8)]
    found = verdicts(run_of_moments(*steady), run_of_moments(*faster))
    assert found["commands_per_second"] == "higher"
    assert found["cpu_microseconds_per_command"] == "lower"
    assert found["cpu_share"] == "same"


def test_a_share_that_was_nothing_has_no_factor() -> None:
    none = {"commands": 1000.0, "hits": 1000.0, "misses": 0.0}
    some = none | {"hits": 900.0, "misses": 100.0}
    (row,) = (r for r in compare(*map(run_of_moments, (none, some)))["changes"] if r["b"] == 0.1)
    assert (row["quantity"], row["change"], row["verdict"]) == ("miss_share", None, "higher")


def test_clients_are_beside_each_other_in_a_table_of_their_own() -> None:
    anew = {"connect": 1000.0, "write": 1000.0, "read": 1000.0}
    kept = anew | {"connect": 1.0}
    a, b = (run_of_moments(counted, role="client") for counted in (anew, kept))
    _, _, clients = told(a, b).partition("Clients together")
    assert "connects per write  1.00  0.001   <-99%    lower" in clients


def test_workers_have_a_table_only_where_they_are_unlike_the_server(tmp_path: Path) -> None:
    runs = []
    for side, futexes in (("a", 900), ("b", 300)):
        (tmp_path / side).mkdir()
        own = quiet(commands=1000)
        made = worker(0, calls(futex=futexes, read=1000), own=own)
        keeper = worker(1, calls(futex=2000, read=0), own=quiet(read=0))
        keeper |= {"role": "keeper", "label": "keeper"}
        runs.append(make_run(tmp_path / side, made, keeper))
    rows = [(r.subject, r.quantity) for r in changes(*runs) if r.verdict == "lower"]
    assert rows == [("server", "futexes_per_command"), ("worker", "futexes_per_command")]
    assert ("worker", "reads_per_command") not in [(r.subject, r.quantity) for r in changes(*runs)]


def churn(directory: Path, accepts: int, **changes: Any) -> Run:
    directory.mkdir()
    perf = calls(read=1000 + accepts, write=1000, accept4=accepts, close=accepts, epoll_wait=2000)
    return make_run(directory, worker(0, perf, own=quiet(commands=1000)), client(1), **changes)


def test_findings_are_gone_new_or_still_there(tmp_path: Path) -> None:
    bad, good = churn(tmp_path / "bad", 1000), churn(tmp_path / "good", 0)

    def names(a: Run, b: Run) -> dict[str, list[str]]:
        found = compare(a, b)["findings"]
        return {became: [each["situation"] for each in found[became]] for became in found}

    assert names(bad, good) == {"gone": ["connection-churn"], "new": [], "still": []}
    assert names(good, bad) == {"gone": [], "new": ["connection-churn"], "still": []}
    assert names(bad, bad) == {"gone": [], "new": [], "still": ["connection-churn"]}
    assert "None in A, none in B." in told(good, good)


def test_a_finding_that_hangs_on_noise_is_in_doubt(tmp_path: Path) -> None:
    """Just above the threshold, and just below it."""
    over, under = churn(tmp_path / "over", 210), churn(tmp_path / "under", 198)
    (gone,) = compare(over, under)["findings"]["gone"]
    assert (gone["situation"], gone["doubt"]) == ("connection-churn", True)
    assert "In doubt" in told(over, under)
    (gone,) = compare(over, churn(tmp_path / "none", 0))["findings"]["gone"]
    assert not gone["doubt"]


def test_a_finding_whose_numbers_were_not_all_judged_is_not_in_doubt() -> None:
    runs = [load(DATA / name) for name in ("without-perf", "two-clients")]
    gone = {each["situation"]: each["doubt"] for each in compare(*runs)["findings"]["gone"]}
    assert gone == {"small-reads": False}


def test_what_makes_runs_hard_to_compare_is_said(tmp_path: Path) -> None:
    a = churn(tmp_path / "a", 0)
    window = {**a.facts["window"], "opened": 1.0, "seconds": 2.0}
    counter = {**a.facts["counter"], "source": "strace"}
    b = churn(tmp_path / "b", 0, window=window, counter=counter, kernel="7.0", lost=["lost it"])
    text = " ".join(told(a, b).split())
    expected = (
        "B was collected before A",
        "counted by perf, B by strace",
        "strace slows",
        "kernel differs: 6.1.0 in A, 7.0 in B",
        "10.00 s and 2.00 s",
        "B: lost it",
    )
    for said in expected:
        assert said in text
    alone = run_of_moments(BUSY, window={"opened": 99.0})
    assert "The number of clients differs: 1 in A, 0 in B." in told(a, alone)


def test_recorded_runs_give_their_golden_comparison() -> None:
    assert render_comparison() == COMPARED.read_text(), "if it is meant: python tests/golden.py"
    assert render_comparison().isascii()


def test_the_text_fits_80_columns_whatever_the_numbers() -> None:
    big = dict.fromkeys((*BUSY, "hits", "misses", "accept4", "close", "epoll_wait"), 1e12)
    for other in (dict.fromkeys(big, 1.0), big | {"commands": 3.0}):
        text = told(*(run_of_moments(*[counted] * 8) for counted in (big, other)))
        assert max(map(len, text.splitlines())) <= WIDTH


def test_every_number_that_is_compared_is_a_ratio() -> None:
    assert {*SERVER, *CLIENT} <= RATIOS.keys()


def test_json_gives_each_row_with_its_probability() -> None:
    done = invoke(DATA / "churn", DATA / "pipelined", "--format", "json")
    built = json.loads(done.stdout)
    assert (done.exit_code, built["schema"]) == (0, 1)
    row = next(row for row in built["changes"] if row["quantity"] == "reads_per_command")
    assert (row["subject"], row["verdict"], row["unit"]) == ("server", "lower", "per command")
    assert 0 <= row["p"] < built["level"]


def test_markdown_has_the_same_rows() -> None:
    done = invoke(DATA / "churn", DATA / "pipelined", "--format", "markdown")
    assert done.exit_code == 0
    assert "| number | A | B | change | verdict |" in done.stdout
    assert "| accepts per command | 1.00 | <0.0001 | <-99% | lower |" in done.stdout


def test_wrong_directories_are_told_in_one_line(tmp_path: Path) -> None:
    churned = DATA / "churn"
    for arguments, said in (
        ((churned, churned / "."), "name two different runs"),
        ((churned, tmp_path), "holds no run"),
        ((churned, churned, churned), "not more"),
        ((), "name a DIR"),
    ):
        done = invoke(*arguments)
        assert done.exit_code in (1, 2)
        assert said in done.output.splitlines()[-1]

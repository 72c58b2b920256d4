"""forkkv report: golden reports of recorded runs, what fits the page, and errors that help."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from golden import golden_reports, recorded_runs, render
from made_run import calls, client, make_run, quiet, worker

from forkkv.perf.command import report
from forkkv.perf.document import Grid, Section
from forkkv.perf.render import WIDTH, pieces, to_markdown, to_text
from forkkv.perf.report import build
from forkkv.perf.run import load

RUNS = recorded_runs()
NAMES = [run.name for run in RUNS]
HINT = "if the change is meant, rewrite it with: python tests/golden.py"


@pytest.mark.parametrize("golden", golden_reports(), ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_recorded_run_gives_its_golden_report(golden: Path) -> None:
    assert render(golden.parent, golden.name) == golden.read_text(), HINT


def test_there_are_recorded_runs_of_different_kinds() -> None:
    kinds = {"two-clients", "churn", "pipelined", "under-load", "worker-killed", "without-perf"}
    assert kinds <= set(NAMES)


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_the_text_fits_80_columns_in_plain_letters(run: Path) -> None:
    text = render(run, "report.txt")
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= WIDTH


def test_large_counts_are_cut_into_tables_that_fit_and_lose_no_digit(tmp_path: Path) -> None:
    big = 123456789012345
    every = {call: big + i for i, call in enumerate(("read", "write", "accept4", "close", "futex"))}
    run = make_run(tmp_path, worker(0, calls(**every), own=quiet(commands=5)))
    text = to_text(build(run))
    assert max(map(len, text.splitlines())) <= WIDTH
    for count in every.values():
        assert str(count) in text


def test_the_markdown_has_both_tables_with_their_headings(tmp_path: Path) -> None:
    text = to_markdown(build(make_run(tmp_path, worker(0, calls(read=1), own=quiet(commands=1)))))
    assert "| Observation | Meaning | Inference |" in text
    assert "| Syscall | When count is high | Likely system state | Possible fix |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_the_rows_that_apply_are_marked_and_stand_first(tmp_path: Path) -> None:
    perf = calls(read=9000, write=9000, accept4=0, close=0, futex=5000)
    run = make_run(tmp_path, worker(0, perf, own=quiet(commands=9000, read=9000)))
    built = build(run)
    applying = [row["syscall"] for row in built["bottlenecks"] if row["applies"]]
    assert applying == ["futex"]
    (row,) = (row for row in built["bottlenecks"] if row["applies"])
    assert (row["measured"], row["processes"]) == ("0.56 per command", ["worker-0"])
    first = to_markdown(built).split("| Syscall |")[1].splitlines()[2]
    assert first.startswith("| * futex | more than 0.1 per command [0.56 per command] |")


def test_a_row_of_the_server_is_not_marked_for_what_its_client_does(tmp_path: Path) -> None:
    own = quiet(commands=500, read=500, write=500, bytes_out=500_000)
    server = worker(0, calls(read=500, write=500, accept4=0, close=0), own=own)
    built = build(make_run(tmp_path, server, client(1, calls(read=5000, write=500, connect=1))))
    assert [finding["situation"] for finding in built["findings"]] == ["small-reads"]
    applying = [row["syscall"] for row in built["bottlenecks"] if row["applies"]]
    assert applying == ["read, recvfrom (clients)"]


def test_a_call_that_nobody_counted_is_na_and_not_zero(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=3)), client(1))
    built = build(run)
    assert built["totals"]["write"] is None
    client_row = next(line for line in to_text(built).splitlines() if line.startswith("client-1"))
    assert set(client_row.split()[1:]) == {"n/a"}


def test_what_was_lost_stands_among_the_caveats(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=3)), lost=["worker-1 (pid 7) was lost"])
    assert "worker-1 (pid 7) was lost" in to_text(build(run))


def test_why_perf_was_not_used_stands_among_the_caveats(tmp_path: Path) -> None:
    counter = {"source": "forkkv", "aligned": True, "problem": "it is not there"}
    counter |= {"version": None, "remedy": "get it"}
    run = make_run(tmp_path, worker(0, own=quiet(read=3)), counter=counter)
    assert "perf was not used: it is not there. To allow it: get it" in to_text(build(run))


def test_json_has_a_schema_and_findings_with_evidence(tmp_path: Path) -> None:
    perf = calls(read=9000, write=9000, accept4=0, close=0, futex=5000)
    make_run(tmp_path, worker(0, perf, own=quiet(commands=9000, read=9000)))
    done = CliRunner().invoke(report, [str(tmp_path), "--format", "json"])
    assert done.exit_code == 0
    built = json.loads(done.stdout)
    assert built["schema"] == 2
    (finding,) = built["findings"]
    assert (finding["situation"], finding["processes"]) == ("lock-contention", ["worker-0"])
    assert (finding["confidence"], finding["confidence_word"]) == (0.95, "high")
    assert finding["next"] == "forkkv top --name made-up"
    assert finding["evidence"][0] == {
        "process": "worker-0",
        "quantity": "futexes_per_command",
        "value": 0.555556,
        "unit": "per command",
        "words": "0.56",
        "operator": ">",
        "threshold": 0.1,
    }


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_command_prints_plain_text_into_a_pipe(tmp_path: Path, form: str) -> None:
    make_run(tmp_path, worker(0, calls(read=3), own=quiet(commands=1)))
    done = CliRunner().invoke(report, [str(tmp_path), "--format", form])
    assert done.exit_code == 0
    assert "forkkv report" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_directory_that_is_no_run_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    done = CliRunner().invoke(report, [str(tmp_path)])
    assert done.exit_code == 1
    assert "holds no run: there is no run.json in it" in done.output
    assert "perf/collect.sh" in done.output
    assert "Traceback" not in done.output


def test_markup_in_a_client_command_is_not_interpreted(tmp_path: Path) -> None:
    odd = client(1, calls(read=1)) | {"command": "echo [bold]x[/bold] | cat"}
    run = make_run(tmp_path, worker(0, calls(read=3)), odd)
    assert "echo [bold]x[/bold] | cat" in to_text(build(run))


def test_each_finding_says_how_serious_it_is() -> None:
    killed = next(run for run in RUNS if run.name == "worker-killed")
    text = render(killed, "report.txt")
    assert "worker-replaced (serious; confidence " in text
    assert "healthy (confidence " in render(killed.parent / "pipelined", "report.txt")


def test_a_source_that_counted_everybody_does_not_list_them() -> None:
    counted = {run.name: build(load(run))["sources"][0] for run in RUNS}
    assert counted["two-clients"].startswith("All 8 processes: perf ")
    assert counted["worker-killed"].startswith("master, keeper, worker-0, ")


def test_columns_stand_closer_rather_than_apart_in_two_tables() -> None:
    wide = Grid(("process", *"abcdefg"), (("worker-0", *["123456789"] * 7),), numbers=True)
    assert list(pieces(wide)) == [wide]
    wider = Grid(("process", *"abcdefg"), (("worker-0", *["1234567890"] * 7),), numbers=True)
    assert len(list(pieces(wider))) == 2


def test_a_single_process_is_not_repeated_as_the_server(tmp_path: Path) -> None:
    text = to_text(build(make_run(tmp_path, worker(0, calls(read=5), own=quiet(commands=5)))))
    rows = text.split("System calls\n")[1].split("\n  ")[0].splitlines()
    assert [row.split()[0] for row in rows] == ["process", "worker-0"]


def test_markdown_takes_no_letter_of_a_report_for_markup() -> None:
    grid = Grid(("process", "over time"), (("epoll_wait", "__+_*#"), ("* x", "a|b")))
    text = to_markdown({}, lambda _: iter([Section("Made up", (grid, "<not counted>"))]))
    assert "| epoll_wait | \\_\\_+\\_\\*# |" in text and "| * x | a\\|b |" in text
    assert "- \\<not counted>" in text

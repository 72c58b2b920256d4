"""forkkv report --format html: one page that holds all numbers, asks nobody, and trusts no name."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from golden import DATA, recorded_runs
from made_report import full, recorded, timeline
from parsed_page import Page

from forkkv.perf.command import report
from forkkv.perf.document import COLUMNS
from forkkv.perf.page.page import to_html

Json = dict[str, Any]
NAMES = [run.name for run in recorded_runs()]
EVIL = "<script>alert('x')</script>\"&amp;"


def page_of(made: Json) -> Page:
    return Page(to_html(made))


def spoiled(value: Any) -> Any:
    """The same structure with something evil at the end of every text of a run."""
    if isinstance(value, str):
        return value + EVIL
    if isinstance(value, list):
        return [spoiled(item) for item in value]
    if isinstance(value, dict):
        return {key: spoiled(item) for key, item in value.items()}
    return value


@pytest.fixture(params=[*NAMES, "full"])
def page(request: pytest.FixtureRequest) -> Page:
    """Each page is taken apart, which fails where a tag is not closed."""
    return taken_apart(request.param)


@cache
def taken_apart(name: str) -> Page:
    """Tests that only read share a page."""
    return page_of(full() if name == "full" else recorded(name))


def test_a_page_asks_nobody_for_anything(page: Page) -> None:
    names = {element.name for element in page.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "form", "base", "image"}
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on")]
        assert not {"src", "style", "xlink:href", "action"} & element.attributes.keys()
    (style,) = page.named("style")
    assert not re.search(r"url\(|@import|http|<", style.text)


def test_every_link_leads_to_a_place_on_the_page(page: Page) -> None:
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [link.attributes["href"] or "" for link in page.named("a")]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)


def test_the_policy_allows_this_style_sheet_and_nothing_else(page: Page) -> None:
    (style,) = page.named("style")
    digest = b64encode(sha256(style.text.encode()).digest()).decode()
    (policy,) = (m.attributes for m in page.named("meta") if "http-equiv" in m.attributes)
    assert policy["http-equiv"] == "Content-Security-Policy"
    allowed = dict(part.split(" ", 1) for part in (policy["content"] or "").split("; "))
    assert allowed["default-src"] == "'none'"
    assert {k: v for k, v in allowed.items() if v != "'none'"} == {
        "style-src": f"'sha256-{digest}'"
    }


def test_headings_go_down_one_level_at_a_time_and_findings_come_first(page: Page) -> None:
    levels = [int(heading.name[1]) for heading in page.named("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.named("h2")[0].text == "Findings"
    tables = [c for c in page.named("table") if not c.within("article")]
    cards = page.named("article")
    assert cards and max(card.place for card in cards) < min(table.place for table in tables)


def test_a_listener_is_told_what_a_reader_sees(page: Page) -> None:
    for svg in page.named("svg"):
        if not svg.within("svg"):
            spoken = svg.attributes.get("role") == "img" and svg.attributes.get("aria-label")
            assert spoken or svg.attributes.get("aria-hidden") == "true"
    assert page.named("th") and all(th.attributes.get("scope") for th in page.named("th"))
    assert all(any(c.parents[-1] is t for c in page.named("caption")) for t in page.named("table"))
    assert {"header", "nav", "main", "footer"} <= {element.name for element in page.elements}


@pytest.mark.parametrize("name", NAMES)
def test_every_count_of_a_run_is_on_its_page(name: str) -> None:
    made = recorded(name)
    head, *rows = taken_apart(name).rows("System calls by name")
    shown = {(process, row[0]): n for row in rows for process, n in zip(head, row, strict=True)}
    for process in made["processes"]:
        for call, count in process["calls"].items():
            if count:
                assert shown[process["process"], call] == f"{count:,.0f}"
        for call, count in process["failed"].items():
            if count:
                assert shown[process["process"], f"{call}, failed"] == f"{count:,.0f}"


def test_the_calls_of_a_family_and_the_rest_add_up_to_the_total() -> None:
    head, *rows = taken_apart("two-clients").rows("System calls by family")
    last = head.index("total")
    for row in rows:
        assert sum(int(n.replace(",", "")) for n in row[1:last]) == int(row[last].replace(",", ""))


def test_a_bar_has_a_piece_for_each_family_with_its_number() -> None:
    page = taken_apart("two-clients")
    titles = [t.text for t in page.named("title")]
    assert "worker-1: read 4,011" in titles and "worker-1: read 1.00 per command" in titles
    label = "worker-2, calls: read 8, write 8, accept 1, close 1, poll 9, epctl 3, other 2"
    assert label in [svg.attributes.get("aria-label") for svg in page.named("svg")]


def test_every_family_has_a_colour_in_both_themes() -> None:
    (style,) = taken_apart("two-clients").named("style")
    for kind in (*COLUMNS, "other"):
        assert f".{kind} {{ fill: var(--{kind}); }}" in style.text
        assert len(re.findall(rf"--{kind}: #", style.text)) == 2


def test_what_comes_from_a_run_is_text_wherever_it_stands() -> None:
    made = spoiled(full())
    made["timeline"] = timeline([process["process"] for process in made["processes"]])
    page = page_of(made)
    assert not page.named("script")
    labels = [svg.attributes.get("aria-label") or "" for svg in page.named("svg")]
    assert [label for label in labels if label.startswith(f"worker-1{EVIL}, commands over time")]
    said = page.named("body")[0].text
    for text in ("default", "6.1.0", "worker-3", "--ops 4001", "chatty", "never ran in the window"):
        assert text + EVIL in said


def test_the_page_is_ascii_whatever_the_names_are() -> None:
    made = recorded()
    made["processes"][0]["note"] = "d\xfcrr \udcff"
    text = to_html(made)
    assert text.isascii()
    assert "d\xfcrr \ufffd" in Page(text).named("body")[0].text


def test_a_card_says_everything_about_its_finding() -> None:
    made = full()
    finding = next(f for f in made["findings"] if f["situation"] == "shallow-pipeline")
    finding["evidence"][0] |= {"unit": "reads"}
    page = page_of(made)
    (card,) = (c for c in page.named("article") if "shallow-pipeline" in c.text)
    word = {1: "minor", 2: "moderate", 3: "serious"}[finding["severity"]]
    for said in (word, f"confidence {finding['confidence_word']}, {finding['confidence']:.2f}"):
        assert said in card.text
    for key in ("meaning", "inference", "cannot_tell", "next"):
        assert finding[key] in card.text
    for said in ("worker-1 per command 1.00 reads", "7,325/s>\N{NO-BREAK SPACE}1,000/s"):
        assert said in card.text
    assert "worker-1: 1.000249 reads" in [td.attributes.get("title") for td in page.named("td")]


def test_the_most_serious_finding_comes_first() -> None:
    classes = [card.attributes["class"] for card in taken_apart("full").named("article")]
    assert classes == sorted(classes, reverse=True) and len(set(classes)) == 3


def test_a_run_without_findings_says_so() -> None:
    made = recorded() | {"findings": []}
    made["tables"][-1]["overall"]["inference"] = "healthy: no rule found anything"
    (card,) = page_of(made).named("article")
    assert "healthy: no rule found anything" in card.text


def test_rows_that_apply_to_a_process_are_marked_and_first() -> None:
    page = taken_apart("two-clients")
    marked = {"worker-1": True, "worker-0": False, "server": True}
    for process, applies in marked.items():
        _, first, *others = page.rows(f"{process}: bottlenecks by system call")
        assert first[0].endswith("applies") is applies
        assert not any(row[0].endswith("applies") for row in others)
        assert page.rows(f"{process}: what was observed")[-1][0].startswith("Overall")


def test_the_table_of_a_cross_check_is_open_only_if_something_differs() -> None:
    for name, differs in (("two-clients", False), ("worker-killed", True)):
        page = taken_apart(name)
        section = page.called("check")
        (folded,) = (d for d in page.named("details") if section in d.parents)
        assert ("open" in folded.attributes) is differs
        assert bool(page.classed("apart")) is differs


def test_each_process_has_a_plot_of_each_measure_over_time() -> None:
    page = taken_apart("full")
    plots = [svg.attributes["aria-label"] for svg in page.classed("steps")]
    assert len(plots) == 3 * 8
    assert "worker-2, commands over time: peak 13,182/s" in plots
    assert "client-1, commands over time: not known" in plots


def test_who_did_hardly_anything_is_named_and_not_drawn() -> None:
    made = full()
    for moment in made["timeline"]["moments"]:
        moment["processes"]["keeper"] = {"commands": 0, "calls": 10, "cpu_seconds": 0.001}
    section = page_of(made).called("time")
    assert "Below 1% of every scale: keeper." in section.text
    assert "keeper, commands over time" not in to_html(made)


def test_what_was_not_known_for_a_while_is_a_gap_in_the_line() -> None:
    made = full()
    made["timeline"] = {
        "interval_seconds": 1,
        "moments": [
            {"from": i, "to": i + 1, "processes": {"worker-0": {"calls": n}}}
            for i, n in enumerate((8, 4, None, 6))
        ],
    }
    page = page_of(made)
    plots = [s for s in page.classed("steps") if "worker-0" in (s.attributes["aria-label"] or "")]
    (line,) = (p for p in page.classed("line") if any(plot in p.parents for plot in plots))
    assert line.attributes["d"] == (
        "M0.00 0.00V0.00H250.00V50.00H500.00M750.00 25.00V25.00H1000.00"
    )
    assert page.rows("The run over time")[3] == ["2 to 3", "n/a"]


def test_a_long_run_of_many_processes_stays_small() -> None:
    made = full()
    made["timeline"] = timeline([p["process"] for p in made["processes"]], 1000)
    assert len(to_html(made)) < 1_000_000


@pytest.mark.parametrize("time", [None, {"interval_seconds": 1.0, "moments": []}])
def test_a_run_that_was_not_watched_over_time_has_no_such_section(time: Json | None) -> None:
    made = recorded() | ({} if time is None else {"timeline": time})
    assert "Over time" not in [heading.text for heading in page_of(made).named("h2")]


def test_processes_without_commands_or_a_table_are_shown() -> None:
    made = full()
    made["run"]["table"] = None
    for process in made["processes"]:
        process["commands"] = None
    for moment in made["timeline"]["moments"]:
        for counts in moment["processes"].values():
            counts["commands"] = None
    page = page_of(made)
    assert page.named("h1")[0].text == "System calls of 8 processes"
    assert "does not count its commands" in page.called("cost").text
    assert len(page.classed("steps")) == 2 * 8


def test_the_command_writes_a_report_into_a_file(tmp_path: Path) -> None:
    for form in ("html", "text", "markdown", "json"):
        run = [str(DATA / "churn"), "--format", form]
        printed, file = CliRunner().invoke(report, run), tmp_path / form
        written = CliRunner().invoke(report, [*run, "--output", str(file)])
        assert (written.exit_code, written.output) == (0, "")
        assert file.read_text() == printed.output != ""


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "report.html"
    done = CliRunner().invoke(report, [str(DATA / "churn"), "--format", "html", "-o", str(file)])
    assert done.exit_code == 1
    assert done.output == f"Error: {file}: No such file or directory\n"


def test_numbers_without_a_threshold_have_no_column_for_one() -> None:
    heads = [
        [th.text for th in taken_apart(name).named("th")][:3] for name in ("pipelined", "churn")
    ]
    assert heads[0][:2] == heads[1][:2] == ["quantity", "measured"]
    assert (heads[0][2], heads[1][2]) == ("commands", "threshold")


def test_the_figures_say_when_commands_were_lost() -> None:
    made = recorded("two-clients")
    assert "commands served4,042" in page_of(made).classed("figures")[0].text
    made["processes"][2]["commands"] = None
    figures = page_of(made).classed("figures")[0].text
    assert "commands servedat least" in figures and "calls per command" not in figures


def test_little_looks_like_little_over_time() -> None:
    made = full()
    moments = [
        {"from": i, "to": i + 1, "processes": {"worker-0": {"cpu_seconds": 0.0004}}}
        for i in range(2)
    ]
    made["timeline"] = {"interval_seconds": 1, "moments": moments}
    page = page_of(made)
    assert "CPU of one core over time: peak <0.1%" in str(
        [svg.attributes["aria-label"] for svg in page.classed("steps")]
    )
    assert "1%" in [text.text for text in page.named("text")]

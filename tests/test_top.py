"""forkkv top: the numbers, the order, the keys and the picture, from readings that are made up."""

import json
from io import StringIO

import pytest
from made_reading import busy, entry, reading
from rich.console import Console, RenderableType

from forkkv.perf.top.as_json import to_json
from forkkv.perf.top.columns import COLUMNS, figure, fitting, sort_rows
from forkkv.perf.top.detail import History, detail, sparkline
from forkkv.perf.top.interval import Interval, between
from forkkv.perf.top.screen import key_names
from forkkv.perf.top.state import INTERVALS, KEYS, State
from forkkv.perf.top.text import duration, plain
from forkkv.perf.top.view import help_view, overview, share, waiting

TITLES = [column.title for column in COLUMNS]


def three(**table: int) -> Interval:
    """One second of a master and two workers, the second of them twice as busy."""
    before = reading(10, entry("master", pid=1), busy(0, 0), busy(1, 0))
    master = entry("master", pid=1, start_ticks=0)
    before["processes"][0] = master
    return between(before, reading(11, master, busy(0, 2000), busy(1, 4000), **table))


def crowd(size: int) -> Interval:
    workers = [busy(i, 0) for i in range(size)]
    later = [busy(i, 1000 + i) for i in range(size)]
    return between(reading(10, *workers), reading(11, *later))


def drawn(view: RenderableType, width: int, height: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, height=height, force_terminal=False).print(view)
    return out.getvalue().removesuffix("\n").split("\n")


def test_a_first_reading_has_no_rates_and_no_findings() -> None:
    first = between(None, reading(10, busy(0, 5000)))
    assert first.rows[0].per_second("commands") is None
    assert "commands_per_second" not in first.rows[0].known
    assert (first.findings, first.table["evicted"]) == ((), None)


@pytest.mark.parametrize("change", [{"created_ms": 2}, {"incarnation": 2}])
def test_another_table_of_the_same_name_is_a_first_reading(change: dict[str, int]) -> None:
    now = between(reading(10, busy(0, 9000)), reading(11, busy(0, 10), **change))
    assert (now.seconds, now.findings) == (0, ())


def test_the_tables_own_rates_are_per_second_and_never_negative() -> None:
    earlier = reading(10, evicted=5, expired=9)
    rates = between(earlier, reading(12, evicted=25, expired=1)).table
    assert rates == {"evicted": 10, "expired": 0, "refused": 0}


def test_the_server_together_leaves_attached_programs_out() -> None:
    attached = entry("attached", connections=100, hits=9)
    now = between(reading(10, busy(0, 0), attached), reading(11, busy(0, 50), attached))
    assert now.server.known["commands"] == 50
    assert now.server.now["connections"] == 0


def test_an_attached_program_runs_no_commands_so_its_pace_is_not_known() -> None:
    calls = [entry("attached", hits=hits) for hits in (0, 9)]
    row = between(reading(10, calls[0]), reading(11, calls[1])).rows[0]
    assert (row.per_second("commands"), row.known["hits"]) == (None, 9)


def test_uptime_is_the_masters() -> None:
    assert three().uptime == 11
    assert between(None, reading(10, busy(0, 1))).uptime is None


@pytest.mark.parametrize(
    ("value", "width", "decimals", "shown"),
    [
        (None, 4, 2, "-"),
        (0, 4, 2, "0"),
        (1.0, 4, 2, "1.00"),
        (9.999, 4, 2, "10.0"),
        (123.4, 4, 2, "123"),
        (12345, 4, 2, "12k"),
        (0.3, 6, 0, "0.3"),
        (1234567, 6, 0, "1235k"),
        (12_345_678_901, 6, 0, "12.3G"),
    ],
)
def test_a_number_fits_its_column(
    value: float | None, width: int, decimals: int, shown: str
) -> None:
    assert figure(value, width, decimals) == shown


@pytest.mark.parametrize("value", [10.0**n * f for n in range(-3, 18) for f in (1, 5.55, 9.996)])
def test_no_number_breaks_out_of_its_column(value: float) -> None:
    assert all(len(column.cell(value)) == column.width for column in COLUMNS)


def test_columns_are_dropped_from_the_right_and_more_are_shown_when_there_is_room() -> None:
    titles = [[column.title for column in fitting(width)] for width in (1, 40, 80, 300)]
    assert all(TITLES[: len(shown)] == shown for shown in titles)
    assert [len(shown) for shown in titles] == sorted({len(shown) for shown in titles})
    assert titles[2][-1] == "MiB"
    assert titles[3] == TITLES


def test_rows_sort_by_a_column_with_the_unknown_last() -> None:
    rows = three().rows
    assert [r.label for r in sort_rows(rows, "process")] == ["master", "worker-0", "worker-1"]
    assert [r.label for r in sort_rows(rows, "cmd/s")] == ["worker-1", "worker-0", "master"]
    assert [r.label for r in sort_rows(rows, "sys/c")] == ["worker-0", "worker-1", "master"]
    assert sort_rows(rows, "sys/c", reverse=True)[-1].label == "master"
    assert sort_rows(rows, "state")[0].label == "master"


def pressed(state: State, *keys: str) -> State:
    rows = sort_rows(three().rows, state.sort, state.reverse)
    for key in keys:
        state.settle(rows)
        state.press(key, rows, TITLES)
        rows = sort_rows(three().rows, state.sort, state.reverse)
    state.settle(rows)
    return state


@pytest.mark.parametrize(
    ("keys", "place"), [("jj", 2), ("jjj", 2), ("jk", 0), ("k", 0), (["end"], 2), (["pagedown"], 2)]
)
def test_keys_choose_a_process_and_stop_at_the_ends(keys: str, place: int) -> None:
    assert pressed(State(), *keys).place == place


@pytest.mark.parametrize(
    ("keys", "sort", "reverse"),
    [
        ("c", "cmd/s", False),
        ("s", "sys/c", False),
        ("p", "CPU%", False),
        ("n", "conn", False),
        ("h", "hit%", False),
        ("w", "wait/s", False),
        (">", "pid", False),
        ("><", "process", False),
        ("<", TITLES[-1], False),
        ("cr", "cmd/s", True),
        ("crs", "sys/c", False),
    ],
)
def test_keys_choose_the_order(keys: str, sort: str, reverse: bool) -> None:
    state = pressed(State(), *keys)
    assert (state.sort, state.reverse) == (sort, reverse)


def test_a_new_order_chooses_what_comes_first_in_it() -> None:
    state = pressed(State(), "j", "c")
    assert (state.place, state.selected) == (0, three().rows[2].key)


def test_enter_opens_a_process_and_each_way_leads_back() -> None:
    for back in ("enter", "escape", "backspace"):
        state = pressed(State(), "j", "enter")
        assert state.opened
        assert not pressed(state, back).opened


def test_keys_pause_help_quit_and_change_the_interval() -> None:
    assert pressed(State(), " ").paused
    assert not pressed(State(), " ", " ").paused
    assert pressed(State(), "?").helping
    assert not pressed(State(), "?", "j").helping
    assert pressed(State(), "enter", "q").ended
    assert pressed(State(1.0), "+").interval == 2
    assert pressed(State(1.0), "-").interval == 0.5
    assert pressed(State(0.3), "-").interval == 0.2
    assert pressed(State(), *"+" * 20).interval == INTERVALS[-1]
    assert pressed(State(3600.0), "+").interval == 3600


def test_the_chosen_process_is_followed_and_its_neighbour_is_chosen_when_it_is_gone() -> None:
    rows = three().rows
    state = pressed(State(), "j", "j")
    state.settle(rows[::-1])
    assert (state.place, state.selected) == (0, rows[2].key)
    state.settle(rows[:2])
    assert state.selected == rows[0].key
    state.settle([])
    assert state.selected is None


def test_an_opened_process_that_is_gone_stays_open_and_says_so() -> None:
    state = pressed(State(), "j", "enter")
    state.settle(three().rows[:1])
    assert state.opened
    assert "ended" in drawn(detail(three(), None, [], state, (80, 24)), 80, 24)[0]


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (40, 12), (20, 8), (10, 3)])
@pytest.mark.parametrize("workers", [0, 1, 5, 200])
def test_every_view_fits_its_screen(size: tuple[int, int], workers: int) -> None:
    now, state = crowd(workers), State()
    rows = list(now.rows)
    state.settle(rows)
    views = [overview(now, rows, state, *size), help_view(state, *size)]
    views += [waiting("there is no table", state, *size)]
    views += [detail(now, row, [1, 2, 3], state, size) for row in rows[:1]]
    for view in views:
        lines = drawn(view, *size)
        assert max(map(len, lines)) <= size[0]
        assert len(lines) == size[1] or size[1] < 9


def test_the_list_scrolls_with_the_chosen_one_of_200_workers() -> None:
    now, state = crowd(200), State()
    rows = list(now.rows)
    for place in (0, 100, 199):
        state.place, state.selected = place, rows[place].key
        lines = drawn(overview(now, rows, state, 80, 24), 80, 24)
        assert any(line.startswith(f"worker-{place} ") for line in lines)
    assert "of 200" in lines[-1]


def test_the_picture_has_the_table_the_processes_and_the_findings() -> None:
    text = "\n".join(drawn(overview(three(), three().rows, State(), 80, 24), 80, 24))
    assert "table made-up  up 11s" in text
    assert "1.0 MiB of 4.0 MiB  s3fifo  evicted 0/s" in text
    assert "worker-1       101 serving    4000  3.00 1.00 1.00" in text
    assert "shallow-pipeline (minor)  worker-0: per command 1.00 reads" in text
    assert "(also\n    worker-1)" in text
    assert "-> Clients with many commands at hand" in text


@pytest.mark.parametrize(
    ("lines", "rows", "found", "expected"),
    [(20, 5, 4, (5, 5)), (20, 200, 1, (18, 2)), (20, 200, 30, (10, 10)), (3, 9, 9, (3, 0))],
)
def test_processes_come_first_and_findings_get_up_to_half(
    lines: int, rows: int, found: int, expected: tuple[int, int]
) -> None:
    assert share(lines, rows, found) == expected


def test_an_opened_process_shows_every_count_with_its_rate() -> None:
    now = three()
    text = "\n".join(drawn(detail(now, now.rows[1], [1, 2], State(), (80, 40)), 80, 40))
    for name in (*now.rows[1].now["syscalls"], *now.rows[1].now["counters"], "hits", "commands"):
        assert name in text
    assert "read                    2000    2000.0" in text
    assert "shallow-pipeline" in text


def test_a_sparkline_goes_from_zero_to_the_largest() -> None:
    assert sparkline([0, 50, 100], 80) == "▁▅█"
    assert sparkline([5, 0, 0], 2) == "▁▁"
    assert sparkline([], 80) == ""


def test_the_history_forgets_who_is_gone() -> None:
    history, now = History(), three()
    history.add(now.rows)
    history.add(now.rows[:2])
    assert history.of(now.rows[1].key) == [2000, 2000]
    assert history.of(now.rows[2].key) == []


def test_text_is_never_wider_than_80_columns() -> None:
    long = crowd(200)
    long.reading["table"] |= {"name": "n" * 100, "policy": "noeviction", "keys": 10**12}
    long.reading["memory"] |= {"used_bytes": 10**12, "limit_bytes": 10**12}
    long.table.update(dict.fromkeys(long.table, 123456.7))
    assert max(map(len, plain(long).split("\n"))) <= 80


def test_a_state_cannot_write_to_the_terminal() -> None:
    now = between(None, reading(10, entry("attached", state="\x1b[2J")))
    assert "\x1b" not in plain(now)


def test_json_has_rates_and_findings_and_null_for_what_is_not_known() -> None:
    told = json.loads(to_json(three(evicted=3)))
    assert told["table"]["evicted_per_second"] == 3
    assert told["server"]["commands_per_second"] == 6000
    assert [p["commands_per_second"] for p in told["processes"]] == [0, 2000, 4000]
    assert told["findings"][0]["processes"] == ["worker-0", "worker-1"]
    first = json.loads(to_json(between(None, reading(10, busy(0, 1)))))
    assert first["processes"][0]["commands_per_second"] is None


def test_typed_bytes_become_keys() -> None:
    assert key_names("j\x1b[A\x1bOB\n\x7f\x1b[5~") == [
        "j", "up", "down", "enter", "backspace", "pageup",
    ]  # fmt: skip
    assert key_names("\x1b") == ["escape"]
    assert key_names("\x1b[99~\x1b[1;5Aq") == ["q"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (59.9, "59s"), (3725, "1h02m"), (90061, "1d01h")]
)
def test_a_duration_has_two_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_every_letter_that_sorts_is_among_the_keys_that_are_shown() -> None:
    shown = {letter for keys, _ in KEYS for letter in keys.split(", ")}
    assert {column.key for column in COLUMNS if column.key} <= shown

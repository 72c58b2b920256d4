"""perf/quantities.py: families, rates and ratios; what is not known is not there."""

from pathlib import Path

from made_run import calls, client, make_run, quiet, worker

from forkkv.perf.quantities import derive, of_clients, of_process, of_processes, of_server
from forkkv.perf.rules import RULES


def test_a_family_is_the_sum_of_its_calls(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=5, recvfrom=7, write=1, sendto=0)))
    known = of_process(run.processes[0], run.seconds)
    assert (known["reads"], known["writes"], known["reads_per_write"]) == (12, 1, 12)


def test_what_nobody_counted_is_unknown_and_not_zero(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=5)))
    known = of_process(run.processes[0], run.seconds)
    assert not known.keys() & {"writes", "futexes", "commands", "reads_per_command", "cpu_share"}


def test_a_ratio_over_nothing_is_unknown() -> None:
    assert "reads_per_command" not in derive({"reads": 5, "commands": 0})


def test_the_read_that_finds_a_connections_end_brings_no_data() -> None:
    known = derive({"reads": 124, "failed_reads": 0, "accepts": 23, "closes": 23, "commands": 101})
    assert known["data_reads_per_command"] == 1.0


def test_failed_accepts_are_not_connections() -> None:
    known = derive({"accepts": 100, "failed_accepts": 95, "commands": 5})
    assert (known["accepted"], known["failed_accept_share"]) == (5, 0.95)


def test_cpu_time_is_a_share_of_the_window(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, {**calls(read=1), "task-clock": 2500}))
    known = of_process(run.processes[0], run.seconds)
    assert (known["cpu_share"], known["idle_share"]) == (0.25, 0.75)


def test_the_busiest_worker_is_measured_against_the_mean(tmp_path: Path) -> None:
    shares = (300, 50, 25, 25)
    workers = [
        worker(i, calls(accept4=n), own=quiet(accept4=n, commands=n)) for i, n in enumerate(shares)
    ]
    known = of_server(make_run(tmp_path, *workers))
    assert known["accept_imbalance"] == 3.0
    assert known["command_imbalance"] == 3.0
    assert known["accepts"] == 400


def test_a_worker_that_died_with_its_counters_does_not_spoil_the_ratios(tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        worker(0, calls(read=100), own=quiet(read=100, commands=100)),
        worker(1, calls(read=900), note="ended during the window"),
    )
    known = of_server(run)
    assert (known["reads_per_command"], known["workers"]) == (1.0, 1)


def test_a_server_without_own_counters_still_has_sums(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=100)), worker(1, calls(read=900)))
    assert of_server(run)["reads"] == 1000


def test_clients_are_seen_beside_what_the_server_did_for_them(tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        worker(0, calls(read=10), own=quiet(commands=160)),
        client(1, calls(write=6)),
        client(2, calls(write=4)),
    )
    assert [known["commands_per_client_write"] for known in of_clients(run)] == [16.0, 16.0]


def test_a_client_that_was_not_counted_leaves_the_common_ratio_unknown(tmp_path: Path) -> None:
    run = make_run(
        tmp_path, worker(0, own=quiet(commands=160)), client(1, calls(write=6)), client(2)
    )
    assert all("commands_per_client_write" not in known for known in of_clients(run))


def test_every_number_that_a_rule_names_can_be_known(tmp_path: Path) -> None:
    every = calls(
        read=4, write=1, accept4=2, close=1, connect=1, epoll_wait=1, epoll_ctl=1, futex=1,
        fsync=1, clone=1, wait4=1, io_uring_enter=1, openat=1,
    )  # fmt: skip
    failed = {f"syscalls:sys_exit_{call}": 1 for call in ("read", "write", "accept4", "connect")}
    perf = {**every, **failed, "task-clock": 1, "raw_syscalls:sys_enter": 9}
    own = quiet(commands=1, accepted=1, hits=1, sets=1, bytes_in=1, bytes_out=1, read=1)
    used = {"runqueue_seconds": 1.0, "minor_faults": 1, "major_faults": 1}
    figures = ("evicted", "expired", "refused", "ghost_hits", "copied_bytes", "freed_bytes",
               "limit_bytes", "used_bytes", "live_bytes", "dead_bytes")  # fmt: skip
    run = make_run(
        tmp_path,
        *(worker(index, perf, own=own, usage=used) for index in (0, 1)),
        client(1, perf),
        memory=dict.fromkeys(figures, 1),
        ticks=[{"time": 15.0, "reading": 2}],
    )
    known = {"server": of_server(run), "client": of_clients(run)[0]}
    ours = of_processes(run)[0]
    foreign = derive({**{n: v for n, v in ours.items() if n != "commands"}}, estimate=True)
    for rule in RULES:
        for role in rule.roles:
            assert rule.quantities <= known.get(role, ours | foreign).keys(), rule.situation


def test_connections_are_those_open_at_once_and_not_all_that_ever_came(tmp_path: Path) -> None:
    own = {**quiet(accepted=1000, commands=1000), "connections": (3, 3, 4, 4)}
    run = make_run(tmp_path, worker(0, own=own), worker(1, own=quiet(accepted=9, commands=9)))
    assert [known["connections"] for known in of_processes(run)] == [4, 1]
    assert of_server(run)["connections_per_worker"] == 2.5


def test_the_calls_of_an_attached_program_are_not_the_servers(tmp_path: Path) -> None:
    own = quiet(hits=7, misses=3)
    program = worker(7, calls(read=5000, clone=4), own=own, role="attached", label="attached-107")
    run = make_run(tmp_path, worker(0, calls(read=500), own=quiet(commands=500)), program)
    known = of_server(run)
    assert (known["reads"], known["lookups"], known["respawns"]) == (500, 10, 0)

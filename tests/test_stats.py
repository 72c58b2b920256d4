"""What every process counts, read from shared memory while nobody is asked."""

import os
import signal
from typing import Any

from conftest import RunningServer, wait_until

from forkkv import objects
from forkkv.stats import SCHEMA, read_stats

PROCESS_FIELDS = {
    "role",
    "index",
    "pid",
    "alive",
    "state",
    "stopped",
    "generation",
    "start_ticks",
    "connections",
    "commands",
    "hits",
    "misses",
    "lock_waits",
    "cpu_seconds",
    "rss_bytes",
    "private_bytes",
    "syscalls",
    "counters",
}


def test_the_reading_has_the_fields_of_its_schema(server: RunningServer) -> None:
    reading = read_stats(server.name)
    assert reading["schema"] == SCHEMA == 1
    assert reading["source"] == "forkkv"
    assert reading["departed"]["commands"] == 0
    assert reading["table"]["name"] == server.name
    for field in ("keys", "memory_limit_bytes", "memory_used_bytes", "live_bytes", "repairs"):
        assert isinstance(reading["table"][field], int)
    for process in reading["processes"]:
        assert process.keys() == PROCESS_FIELDS
        assert {"read", "write", "accept4", "close", "epoll_wait"} <= process["syscalls"].keys()
        assert not process["syscalls"].keys() & process["counters"].keys()


def test_processes_come_in_order_and_the_reader_is_none_of_them(server: RunningServer) -> None:
    attached = objects.open_table(server.name)
    try:
        processes = read_stats(server.name)["processes"]
    finally:
        attached.close()
    who = [(process["role"], process["index"]) for process in processes]
    assert who == [("master", 0), ("keeper", 0), ("worker", 0), ("worker", 1), ("attached", 0)]
    assert processes[0]["pid"] == server.process.pid
    assert processes[-1]["pid"] == os.getpid()
    assert read_stats(server.name)["table"]["participants"] == 4
    assert all(process["alive"] and process["rss_bytes"] for process in processes)


def test_counts_grow_with_what_was_done(server: RunningServer) -> None:
    with server.connect() as client:
        for _ in range(50):
            client.set("k", "v")
            client.get("k")
            client.get("nothing")

        def done() -> bool:
            workers = [p for p in read_stats(server.name)["processes"] if p["role"] == "worker"]
            counts = [sum(p[name] for p in workers) for name in ("hits", "misses", "connections")]
            return counts == [50, 50, 1]

        wait_until(done, "the counts")


def test_it_works_while_every_process_of_the_server_is_stopped(server: RunningServer) -> None:
    def processes() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_stats(server.name)["processes"]
        return found

    family = server.family()
    assert not any(each["stopped"] for each in processes())
    for process in family:
        process.suspend()
    try:
        wait_until(lambda: all(each["stopped"] for each in processes()), "all to stop")
        states = [process["state"] for process in processes()]
        assert states == ["serving", "keeping", "serving", "serving"]
    finally:
        for process in family:
            process.resume()


def test_a_dead_process_is_listed_as_such_until_it_is_repaired(server: RunningServer) -> None:
    worker = server.pids()[0]
    family = server.family()
    for process in family:
        process.suspend()
    try:
        os.kill(worker, signal.SIGKILL)

        def listed_dead() -> bool:
            rows = {process["pid"]: process for process in read_stats(server.name)["processes"]}
            return worker not in rows or not rows[worker]["alive"]

        wait_until(listed_dead, "the death to show")
    finally:
        for process in family:
            if process.pid != worker:
                process.resume()
    server.wait_replaced(worker)


def test_a_table_without_a_server_has_stats(table_name: str) -> None:
    objects.create(table_name, 8 << 20).close()
    reading = read_stats(table_name)
    assert reading["processes"] == []
    assert reading["table"]["keys"] == 0

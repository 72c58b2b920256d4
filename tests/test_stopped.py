"""A process stopped with a lock in its hands keeps it, and stops as few others as can be."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial

import hiredis
import pytest
import redis
from conftest import DEADLINE, RunningServer, StartServer, wait_until
from holders import (
    MANY,
    SETS_MANY,
    SETS_ONE,
    commits_many,
    holds_k,
    is_busy,
    state_of,
    stop_when,
    stopped_holder,
)

import forkkv
from forkkv.clients.local import Table
from forkkv.stats import read_stats


@pytest.fixture
def table(table_name: str) -> Iterator[Table]:
    with forkkv.attach(table_name, create=True, memory="8mb", lock_timeout=0.05) as made:
        yield made


# ---- an attached process ------------------------------------------------------------------------


def test_readers_and_other_writers_go_on_and_the_error_names_the_holder(table: Table) -> None:
    with stopped_holder(table.name, SETS_ONE, holds_k) as holder:
        with pytest.raises(forkkv.TableBusy) as error:
            table["k"] = b"mine"
        text = f"process {holder} (attached) has held a lock for more than 0.05 s"
        assert text in str(error.value)
        assert "continue or kill it" in str(error.value)
        assert table["k"] == b"x" * 1000
        keys = [f"key{i}" for i in range(640)]  # of 64 partitions
        others = [key for key in keys if not is_busy(partial(table.set, key, b"v"))]
        assert 500 < len(others) < 640
        assert table.get_many(others) == [b"v"] * len(others)
        assert all(is_busy(lambda: table.set("k", b"mine")) for _ in range(200))
        os.kill(holder, signal.SIGCONT)
        wait_until(lambda: not is_busy(lambda: table.set("k", b"mine")), "the lock to be free")
        wait_until(lambda: table["k"] == b"x" * 1000, "the holder to write on")


def test_a_holder_killed_while_it_is_stopped_is_repaired_by_the_next_writer(table: Table) -> None:
    with stopped_holder(table.name, SETS_ONE, holds_k) as holder:
        assert is_busy(lambda: table.set("k", b"mine"))
        os.kill(holder, signal.SIGKILL)
        wait_until(lambda: state_of(holder) == "Z", "its death")
        table["k"] = b"mine"
        assert table["k"] == b"mine"
        assert table.facts()["repairs"] > 0


def test_readers_of_a_stopped_commit_wait_and_then_see_all_of_it(table: Table) -> None:
    with stopped_holder(table.name, SETS_MANY, commits_many) as holder:
        with pytest.raises(forkkv.TableBusy, match=f"process {holder} "):
            table.get_many(MANY)
        assert is_busy(lambda: table.set_many({"many0": b"", "never": b""}))
        os.kill(holder, signal.SIGCONT)
        wait_until(lambda: not is_busy(lambda: table.get_many(MANY)), "the commit to end")
        for _ in range(20):
            with contextlib.suppress(forkkv.TableBusy):
                assert len(set(table.get_many(MANY))) == 1
    assert len(set(table.get_many(MANY))) == 1
    assert "never" not in table


@pytest.mark.parametrize("seconds", [-1, 3601, float("nan")])
def test_a_lock_timeout_out_of_range_is_refused(table_name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match="0 to 3600 seconds"):
        forkkv.attach(table_name, create=True, lock_timeout=seconds)


# ---- behind a server ----------------------------------------------------------------------------


def error_of(server: RunningServer, *words: str) -> str:
    reply = server.ask(*words)
    return str(reply) if isinstance(reply, hiredis.ReplyError) else ""


def test_clients_get_the_holders_pid_and_a_long_pipeline_does_not_stop_the_worker(
    start_server: StartServer,
) -> None:
    server = start_server("--workers", "1", "--lock-timeout", "0.3", "--stall", "2")
    (worker,) = server.pids()
    server.ask("SET", "k", "v")
    with stopped_holder(server.name, SETS_ONE, holds_k) as holder:
        error = error_of(server, "SET", "k", "v")
        assert error.startswith(f"BUSY process {holder} (attached) has held a lock for more than ")
        assert server.ask("GET", "k") == b"x" * 1000
        with server.connect() as client:
            replies = client.pipeline(transaction=False)
            for _ in range(100):  # 30 seconds, if each waited
                replies.set("k", "v")
            errors = replies.execute(raise_on_error=False)
            assert len(errors) == 100
            assert all("BUSY" in str(each) for each in errors)
            facts = client.info()
            assert facts["stopped_processes"] == 1
            assert facts["lock_timeouts"] >= 101
        stopped = [each["pid"] for each in read_stats(server.name)["processes"] if each["stopped"]]
        assert stopped == [holder]
        os.kill(holder, signal.SIGCONT)
        wait_until(lambda: server.ask("SET", "k", "v") == b"OK", "the lock to be free")
    assert server.pids() == [worker]


def connection_to(server: RunningServer, index: int) -> redis.Redis:
    """A client whose connection is served by worker `index`."""
    clients = [server.connect() for _ in range(8)]
    chosen = next(each for each in clients if each.client_info()["worker"] == str(index))
    for each in clients:
        if each is not chosen:
            each.close()
    return chosen


def test_a_worker_stopped_with_locks_is_killed_and_repaired(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--stall", "2", "--lock-timeout", "0.1")
    holder, other = server.pids()
    over = threading.Event()

    def write_on() -> None:
        with contextlib.suppress(redis.RedisError), connection_to(server, 0) as client:
            while not over.is_set():
                client.mset(dict.fromkeys(MANY, "v"))

    writer = threading.Thread(target=write_on)
    writer.start()
    with connection_to(server, 1) as client, forkkv.attach(server.name, lock_timeout=0) as probe:
        wait_until(lambda: probe.get("many0") is not None, "the first write")
        stop_when(holder, lambda: is_busy(lambda: probe.set("many0", "w")))
        with pytest.raises(redis.ResponseError, match=rf"process {holder} \(worker 0\)"):
            client.set("many0", "w")
        assert client.ping()
        assert server.wait_replaced(holder)[-1] == other
        over.set()
        writer.join(DEADLINE)
        assert f"worker 0, pid {holder}, gives no sign of life; killed" in server.log
        assert client.set("many0", "w")
        assert client.get("many0") == b"w"


def test_a_stopped_keeper_is_killed_and_replaced(start_server: StartServer) -> None:
    server = start_server("--workers", "1", "--stall", "2")
    (keeper,) = server.pids("keeper")
    os.kill(keeper, signal.SIGSTOP)
    server.wait_replaced(keeper, "keeper")
    assert f"keeper, pid {keeper}, gives no sign of life; killed" in server.log


def test_workers_serve_while_the_master_is_stopped(server: RunningServer) -> None:
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: state_of(server.process.pid) == "T", "the master to stop")
        for number in range(20):
            assert server.ask("SET", "k", str(number)) == b"OK"
        assert server.ask("GET", "k") == b"19"
    finally:
        os.kill(server.process.pid, signal.SIGCONT)

"""INFO: figures of the whole server, whichever worker is asked."""

import os
import signal

import pytest
import redis
from conftest import RunningServer, StartServer, wait_until

SECTIONS = (
    "server clients memory persistence stats replication cpu commandstats cluster keyspace workers"
)


@pytest.mark.parametrize("section", SECTIONS.split())
def test_each_section_can_be_asked_for(server: RunningServer, section: str) -> None:
    with server.connect() as client:
        client.set("k", "v")
    assert f"# {section.capitalize()}\r\n".encode() in server.ask("INFO", section)


def test_default_leaves_out_what_all_has(server: RunningServer) -> None:
    with server.connect() as client:
        client.set("k", "v")
        assert "cmdstat_set" not in client.info()
        assert client.info("all")["cmdstat_set"]["calls"] == 1
        assert client.info("everything").keys() == client.info("all").keys()


def test_unknown_sections_are_empty(server: RunningServer) -> None:
    with server.connect() as client:
        assert client.info("nosuch") == {}


def test_figures_are_sums_over_all_workers(start_server: StartServer) -> None:
    server = start_server("--workers", "3")
    clients = [server.connect() for _ in range(9)]
    for number, client in enumerate(clients):
        client.set(f"k{number}", "v", ex=100 if number else None)
        client.get(f"k{number}")
        client.get("nothing")
    facts = clients[0].info("all")
    assert facts["connected_clients"] == 9
    assert facts["total_connections_received"] >= 9
    assert facts["cmdstat_get"]["calls"] == 18
    assert facts["keyspace_hits"] == facts["keyspace_misses"] == 9
    assert facts["db0"] == {"keys": 9, "expires": 8, "avg_ttl": 0}
    assert sum(facts[f"worker{index}"]["conns"] for index in range(3)) == 9
    for client in clients:
        client.close()


def test_totals_outlive_the_processes_that_counted(server: RunningServer) -> None:
    with server.connect() as client:
        for number in range(100):
            client.set(f"k{number}", "v")
        before = client.info("all")
        for worker in server.pids():
            os.kill(worker, signal.SIGKILL)
            server.wait_replaced(worker)
    after = server.connect().info("all")
    for total in (
        "total_commands_processed",
        "total_connections_received",
        "total_writes_processed",
    ):
        assert after[total] > before[total] >= 1
    assert after["cmdstat_set"]["calls"] == 100
    assert after["connected_clients"] == 1


def test_errors_are_counted(server: RunningServer) -> None:
    with server.connect() as client:
        for words in (("GET",), ("NOSUCH",), ("INCR", "k"), ("CLIENT", "SETNAME", "a b")):
            client.set("k", "x")
            with pytest.raises(redis.ResponseError):
                client.execute_command(*words)
        facts = client.info("all")
        assert facts["total_error_replies"] == 4
        assert facts["cmdstat_client|setname"]["failed_calls"] == 1


def test_memory_counts_the_table_once(server: RunningServer) -> None:
    with server.connect() as client:
        client.set("k", b"x" * 4_000_000)
        facts = client.info("memory")
    assert facts["maxmemory"] == 32 << 20
    assert facts["used_memory_dataset"] >= 4_000_000
    assert facts["used_memory"] <= facts["used_memory_rss"] < facts["used_memory"] + (120 << 20)


def test_a_worker_that_is_gone_is_gone_from_info(server: RunningServer) -> None:
    first, second = server.pids()
    with server.connect() as client:
        assert client.info("workers")["worker0"]["pid"] == first
        assert client.info("workers")["worker1"]["pid"] == second
        assert client.info("clients")["connected_clients"] == 1
    wait_until(lambda: client.info("clients")["connected_clients"] == 1, "the count to settle")
    client.close()

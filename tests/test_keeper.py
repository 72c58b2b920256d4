"""The keeper does ahead of need what clients would otherwise wait for."""

import os
import signal
import subprocess
import sys

from conftest import RunningServer, StartServer, wait_until

from forkkv.stats import read_stats


def test_expired_keys_go_without_being_read(server: RunningServer) -> None:
    with server.connect() as client:
        for number in range(500):
            client.psetex(f"k{number}", 50 if number % 2 else 600_000, "v")
        wait_until(
            lambda: client.info("stats")["expired_keys"] == 250, "the expired keys to be removed"
        )
        assert client.dbsize() == 250


def test_what_a_dead_attached_process_left_is_repaired(server: RunningServer) -> None:
    code = f"t = forkkv.attach({server.name!r}); t['k'] = b'v'; os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", "import forkkv, os; " + code], check=False)

    def dead_are_gone() -> bool:
        return all(each["alive"] for each in read_stats(server.name)["processes"])

    wait_until(dead_are_gone, "the entry of the dead process to be freed")
    assert server.ask("GET", "k") == b"v"


def test_endless_overwriting_goes_on(start_server: StartServer) -> None:
    server = start_server("--workers", "1", "--memory", "8mb")
    with server.connect() as client:
        for round_number in range(40):
            pipeline = client.pipeline(transaction=False)
            for number in range(200):
                pipeline.set(f"k{number}", bytes([round_number]) * 10_000)
            pipeline.execute()
        assert client.get("k7") == bytes([39]) * 10_000


def test_it_leaves_when_told_and_is_replaced(server: RunningServer) -> None:
    (keeper,) = server.pids("keeper")
    os.kill(keeper, signal.SIGTERM)
    server.wait_replaced(keeper, "keeper")
    assert f"keeper, pid {keeper}, exited with code 0" in server.log


def test_a_purge_gives_the_memory_of_deleted_keys_back(start_server: StartServer) -> None:
    server = start_server("--workers", "1", "--memory", "16mb")

    def used() -> int:
        return read_stats(server.name)["table"]["memory_used_bytes"]

    with server.connect() as client:
        client.mset({f"k{number}": bytes(1000) for number in range(8000)})
        full = used()
        client.delete(*(f"k{number}" for number in range(8000) if number % 10))
        assert used() == full
        assert client.memory_purge() is True
        wait_until(lambda: used() < full / 3, "the memory to go back to the kernel")
        assert client.dbsize() == 800

"""A worker under hostile clients, with limits reached, and at its end."""

import os
import resource
import signal
import socket
import struct
from pathlib import Path

import psutil
import pytest
import redis
from conftest import RunningServer, StartServer, wait_until

from forkkv.stats import read_stats

REFUSED = b"-ERR max number of clients reached\r\n"


def open_many(server: RunningServer, count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Connections that are served, and those that were refused with a text."""
    served: list[socket.socket] = []
    refused: list[socket.socket] = []
    for _ in range(count):
        connection = server.open_socket()
        connection.sendall(b"PING\r\n")
        reply = connection.recv(len(REFUSED))
        (served if reply == b"+PONG\r\n" else refused).append(connection)
        assert reply in (b"+PONG\r\n", REFUSED)
    return served, refused


def close_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def connections_of(server: RunningServer) -> list[int]:
    with server.connect() as client:
        workers = client.info("workers")
    return [workers[name]["conns"] for name in sorted(workers)]


@pytest.mark.parametrize("asking", [False, True])
def test_connections_opened_one_after_another_spread_evenly(
    start_server: StartServer, asking: bool
) -> None:
    server = start_server("--workers", "4")
    connections = []
    for _ in range(200):
        connection = server.open_socket()
        if asking:
            connection.sendall(b"PING\r\n")
            assert connection.recv(16) == b"+PONG\r\n"
        connections.append(connection)
    wait_until(lambda: sum(connections_of(server)) >= 200, "every connection to be accepted")
    held = connections_of(server)
    assert max(held) <= 1.3 * sum(held) / len(held), held
    close_all(connections)


def test_a_new_worker_catches_up(start_server: StartServer) -> None:
    server = start_server("--workers", "2")
    first, _ = open_many(server, 40)
    victim = server.pids()[0]
    os.kill(victim, signal.SIGKILL)
    server.wait_replaced(victim)
    second, _ = open_many(server, 20)
    held = connections_of(server)
    assert min(held) >= 17, held
    close_all(first + second)


def test_a_stopped_worker_holds_no_new_connection_up(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--stall", "600")
    stopped = server.pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        served, _ = open_many(server, 20)
        assert len(served) == 20
        close_all(served)
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_above_maxclients_a_client_is_told_and_later_served(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--maxclients", "10")
    served, refused = open_many(server, 14)
    assert len(served) == 10
    close_all(served + refused)
    wait_until(lambda: server.ask("PING") == b"PONG", "a free place")
    assert server.ask("CONFIG", "GET", "maxclients")[1] == b"10"
    with server.connect() as client:
        assert client.info("stats")["rejected_connections"] >= 4


def test_without_descriptors_clients_are_told_and_nobody_spins(start_server: StartServer) -> None:
    server = start_server("--workers", "1")
    (worker,) = server.pids()
    in_use = len(list(Path(f"/proc/{worker}/fd").iterdir()))
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE, (in_use + 5, in_use + 5))
    assert before
    served, refused = open_many(server, 12)
    assert len(served) == 5
    assert len(refused) == 7
    process = psutil.Process(worker)
    spent = sum(process.cpu_times()[:2])
    served[0].sendall(b"ECHO still-here\r\n" * 100)
    reply = b""
    while reply.count(b"still-here") < 100:
        reply += served[0].recv(4096)
    assert sum(process.cpu_times()[:2]) - spent < 1
    close_all(served + refused)
    wait_until(lambda: open_many(server, 1)[0] != [], "a descriptor to be free again")


def test_clients_that_vanish_harm_nobody(server: RunningServer) -> None:
    workers = server.pids()
    reset = struct.pack("ii", 1, 0)  # close() then sends a reset
    for _ in range(300):
        connection = server.open_socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        connection.sendall(b"SET k v\r\nGET k\r\nINFO\r\n" * 20)
        connection.close()
    wait_until(lambda: sum(connections_of(server)) == 1, "the connections to be gone")
    assert server.pids() == workers
    assert "Traceback" not in server.log


def test_no_descriptor_is_left_open(server: RunningServer) -> None:
    def descriptors() -> list[int]:
        return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.pids()]

    before = descriptors()
    for _ in range(300):
        server.ask("CLIENT", "LIST")
    wait_until(lambda: descriptors() == before, "the descriptors to be closed")


def test_half_a_command_blocks_nobody(server: RunningServer) -> None:
    half = [server.open_socket() for _ in range(8)]
    for connection in half:
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab")
    assert server.ask("PING") == b"PONG"
    for connection in half:
        connection.sendall(b"cde\r\n")
        assert connection.recv(16) == b"+OK\r\n"
    close_all(half)


def test_a_worker_that_is_told_to_leave_finishes_and_is_replaced(server: RunningServer) -> None:
    first = server.pids()[0]
    os.kill(first, signal.SIGTERM)
    server.wait_replaced(first)
    assert f"worker 0, pid {first}, exited with code 0" in server.log


def test_a_terminal_interrupt_is_the_masters_business(server: RunningServer) -> None:
    workers = server.pids()
    for pid in workers:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTIN):
            os.kill(pid, number)
    assert server.ask("PING") == b"PONG"
    assert server.pids() == workers


def test_the_unix_socket_serves_the_same_table(server: RunningServer) -> None:
    with server.connect() as tcp, redis.Redis(unix_socket_path=str(server.unix)) as unix:
        tcp.set("k", "v")
        assert unix.get("k") == b"v"


def test_an_idle_worker_makes_one_tick_a_second_and_nothing_else(server: RunningServer) -> None:
    worker = server.pids()[0]

    def syscalls() -> dict[str, int]:
        processes = read_stats(server.name)["processes"]
        (counts,) = (each["syscalls"] for each in processes if each["pid"] == worker)
        return dict(counts)

    before = syscalls()
    wait_until(lambda: syscalls()["epoll_wait"] >= before["epoll_wait"] + 2, "two ticks")
    after = syscalls()
    assert {name for name in after if after[name] != before[name]} == {"epoll_wait"}

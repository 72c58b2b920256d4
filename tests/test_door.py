"""The network door: connections and their ends, Python's answers, and counted calls."""

import os
import resource
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from door import Door, Peer, open_door, pack

from forkkv import _core

PING = pack("PING")


@pytest.fixture
def door(table_name: str) -> Iterator[Door]:
    with open_door(table_name) as door:
        yield door


# ---- commands that Python answers --------------------------------------------------------------


def test_replies_keep_the_order_of_their_commands(door: Door) -> None:
    ours = door.connect()
    ours.send(PING + pack("ONE") + pack("SET", "a", 1) + pack("TWO") + pack("THREE") + PING)
    assert ours.replies(6) == b"+PONG\r\n+ONE\r\n+OK\r\n+TWO\r\n+THREE\r\n+PONG\r\n"


def test_python_gets_the_arguments_as_they_were_sent(door: Door) -> None:
    seen: list[list[bytes]] = []
    door.answers = lambda argv: seen.append(argv) or b"+OK\r\n"  # type: ignore[func-returns-value]
    ours = door.connect()
    ours.call("nope", b"\x00\r\n", b"", "é")
    ours.send(b"Nope 'a b' \"\\x00\"\r\n")
    ours.replies(1)
    assert seen == [[b"nope", b"\x00\r\n", b"", "é".encode()], [b"Nope", b"a b", b"\x00"]]


def test_a_connection_waits_for_its_answer_without_work_meanwhile(door: Door) -> None:
    door.answers = lambda argv: None
    ours = door.connect()
    ours.send(pack("LATER"))
    door.wait_until(lambda: door.counts()["bytes_in"] > 0)
    ours.send(PING)
    before = door.counts()
    for _ in range(20):
        assert door.server.tick(0) == []
    after = door.counts()
    assert after["read"] == before["read"]
    assert after["epoll_ctl"] - before["epoll_ctl"] <= 1
    door.server.answer(door.connections[0], b"+LATER\r\n")
    assert ours.replies(2) == b"+LATER\r\n+PONG\r\n"


def test_an_answer_to_a_connection_that_is_gone_is_dropped(door: Door) -> None:
    ours = door.connect()
    number = door.connections[0]
    ours.close()
    door.wait_until(lambda: door.closed == [b"client"])
    door.server.answer(number, b"+late\r\n")
    door.server.close(number)
    with pytest.raises(KeyError, match="it was closed"):
        door.server.activity(number)


def test_a_closed_connection_shares_its_number_with_no_later_one(door: Door) -> None:
    first = door.connect()
    number = door.connections[0]
    fd = door.server.activity(number)[0]
    first.close()
    door.wait_until(lambda: door.connections == [])
    door.connect()
    assert door.server.activity(door.connections[0])[0] == fd
    assert door.connections[0] != number


def test_what_python_changes_of_a_connection_holds_from_the_next_command_on(door: Door) -> None:
    ours = door.connect()
    number = door.connections[0]
    assert ours.call("GET", "a") == b"$-1\r\n"
    assert door.server.protocol(number, 3) == 3
    assert ours.call("GET", "a") == b"_\r\n"
    assert ours.call("SELECT", 5) == b"+OK\r\n"
    assert door.server.database(number) == 5
    assert ours.call("SET", "a", "in five") == b"+OK\r\n"
    assert door.server.database(number, 0) == 0
    assert ours.call("GET", "a") == b"_\r\n"
    for call in (door.server.protocol, door.server.database):
        with pytest.raises(ValueError, match="is"):
            call(number, 99)


def test_activity_tells_what_a_connection_did(door: Door) -> None:
    ours = door.connect()
    number = door.connections[0]
    ours.call("SET", "a", 1)
    ours.call("GET", "a")
    fd, commands, unread, unsent, last = door.server.activity(number)
    assert os.fstat(fd).st_mode & stat.S_IFSOCK
    assert (commands, unread, unsent, last) == (2, 0, 0, "get")
    ours.call("NOPE")
    assert door.server.activity(number)[1::3] == (3, "")
    ours.send(pack("GET", "a")[:-5])
    door.wait_until(lambda: door.server.activity(number)[2] == len(pack("GET", "a")) - 5)


# ---- ends --------------------------------------------------------------------------------------


def test_a_client_that_says_no_more_still_gets_its_replies(door: Door) -> None:
    ours = door.connect()
    ours.send(pack("SET", "a", 1) + pack("NOPE") + pack("GET", "a"))
    ours.socket.shutdown(socket.SHUT_WR)
    assert ours.until_closed() == b"+OK\r\n+NOPE\r\n$1\r\n1\r\n"
    door.wait_until(lambda: door.closed == [b"client"])


def test_a_reset_connection_is_forgotten_quietly(door: Door) -> None:
    ours = door.connect()
    ours.call("SET", "a", b"x" * 1_000_000)
    ours.send(pack("GET", "a") * 10)
    door.tick()
    ours.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours.close()
    door.wait_until(lambda: door.closed == [b"client"])
    assert door.server.connections == 0


def test_quit_ends_the_connection_after_its_reply(door: Door) -> None:
    ours = door.connect()
    ours.send(PING + pack("QUIT") + pack("SET", "a", 1))
    assert ours.until_closed() == b"+PONG\r\n+OK\r\n"
    door.wait_until(lambda: door.closed == [b"quit"])
    assert len(door.table) == 0


def test_python_can_end_a_connection_after_what_it_is_owed(door: Door) -> None:
    door.answers = lambda argv: None
    ours = door.connect()
    ours.send(PING + pack("NOPE") + pack("SET", "a", 1))
    door.wait_until(lambda: door.counts()["commands"] == 1)
    door.server.close(door.connections[0])
    assert ours.until_closed() == b"+PONG\r\n"
    door.wait_until(lambda: door.closed == [b"server"])
    assert len(door.table) == 0


def test_drain_reads_no_more_and_sends_what_is_owed(door: Door) -> None:
    ours, idle = door.connect(), door.connect()
    ours.call("SET", "a", b"x" * 4_000_000)
    ours.send(pack("GET", "a"))
    number = door.connections[0]
    door.wait_until(lambda: door.server.activity(number)[3] > 0)
    assert door.server.drain() == 1
    idle.send(pack("SET", "b", 1))
    assert len(ours.replies(1)) == 4_000_000 + len(b"$4000000\r\n\r\n")
    assert door.server.drain() == 0
    door.tick()
    assert "b" not in door.table


def test_shutdown_closes_everything_at_once(door: Door) -> None:
    ours = door.connect()
    door.server.shutdown()
    assert ours.until_closed() == b""
    assert door.server.connections == door.counts()["connections"] == 0
    with pytest.raises(ValueError, match="shut down"):
        door.server.tick(0)
    door.server.shutdown()


def test_a_server_whose_table_was_closed_says_so(door: Door) -> None:
    ours = door.connect()
    door.table.close()
    with pytest.raises(_core.TableClosed):
        door.server.tick(0)
    door.server.shutdown()
    assert ours.until_closed() == b""


# ---- accepting ---------------------------------------------------------------------------------


def test_accept_returns_none_when_nobody_waits(door: Door) -> None:
    assert door.server.accept(door.listener.fileno()) is None
    assert door.counts()["accept_empty"] == 1


def test_accept_raises_when_descriptors_run_out(door: Door) -> None:
    waiting = socket.create_connection(door.listener.getsockname())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            door.server.accept(door.listener.fileno())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert door.server.accept(door.listener.fileno()) is not None
    waiting.close()


def test_a_rejected_client_is_told_why(door: Door) -> None:
    peer = Peer(socket.create_connection(door.listener.getsockname()), lambda: None)
    assert door.server.reject(door.listener.fileno(), b"-ERR too many\r\n") is True
    assert peer.until_closed() == b"-ERR too many\r\n"
    assert door.server.reject(door.listener.fileno(), b"-ERR too many\r\n") is False
    assert (door.counts()["rejected"], door.server.connections) == (1, 0)
    peer.close()


def test_accepted_sockets_are_not_inherited_and_have_the_listeners_options(door: Door) -> None:
    door.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    door.connect()
    fd = door.server.activity(door.connections[0])[0]
    accepted = socket.socket(fileno=fd)
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not (os.get_inheritable(fd) or os.get_blocking(fd))
    accepted.detach()


def test_a_listener_is_watched_until_it_is_not(door: Door) -> None:
    fd = door.listener.fileno()
    door.server.unlisten(fd)
    waiting = socket.create_connection(door.listener.getsockname())
    assert door.server.tick(0) == []
    door.server.listen(fd)
    assert door.server.tick(1000) == [("accept", fd, [])]
    with pytest.raises(FileExistsError):
        door.server.listen(fd)
    with pytest.raises(ValueError, match="-1 is not a file descriptor"):
        door.server.listen(-1)
    waiting.close()


# ---- counting ----------------------------------------------------------------------------------


def calls_of_the_kernel() -> tuple[int, int]:
    """How often this process has called read() and write(), by the kernel's own account."""
    lines = Path("/proc/self/io").read_text().splitlines()
    facts = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return facts["syscr"], facts["syscw"]


def test_reads_and_writes_are_counted_to_the_call(door: Door) -> None:
    peers = [door.connect() for _ in range(5)]
    start, again = calls_of_the_kernel(), calls_of_the_kernel()
    own_before = door.counts()
    for number, peer in enumerate(peers):
        assert peer.call("SET", number, "x" * number * 100_000) == b"+OK\r\n"
        peer.send(pack("GET", number) * 20 + pack("NOPE"))
        peer.replies(21)
    peers[0].send(b"QUIT\r\n")
    assert peers[0].until_closed() == b"+OK\r\n"
    own_after = door.counts()
    end = calls_of_the_kernel()
    for kernel, counter in enumerate(("read", "write")):
        cost_of_asking = again[kernel] - start[kernel]
        counted = own_after[counter] - own_before[counter]
        assert counted == end[kernel] - again[kernel] - cost_of_asking
        assert counted > 5

"""The socket client: its system calls to the call, its replies, and every way to lose a server."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hiredis import ReplyError
from peers import RedisServer, redis_server, scripted_server

from forkkv.clients.connection import (
    READ_BYTES,
    Connection,
    ConnectionFailed,
    ConnectionLost,
    Status,
    SystemCalls,
)
from forkkv.clients.kernel import KernelCalls


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_a_command_is_one_write_and_one_read(redis: RedisServer) -> None:
    with Connection(redis.url) as connection:
        kernel = KernelCalls()
        for _ in range(101):
            connection.command("PING")
        assert kernel.since() == {"write": 101, "read": 101}
        assert (connection.calls.write, connection.calls.read) == (101, 101)


def test_opening_is_one_connect_and_one_command_that_gives_the_name(redis: RedisServer) -> None:
    with Connection(redis.url, name="client-7") as connection:
        assert connection.calls == SystemCalls(connect=1, write=1, read=1, close=0)
        assert connection.setup_commands == 1
        assert connection.command("CLIENT", "GETNAME") == b"client-7"


def test_a_database_other_than_0_is_selected(redis: RedisServer) -> None:
    with Connection(f"{redis.url}?db=3") as connection:
        assert connection.calls.write == 1
        assert b" db=3 " in connection.command("CLIENT", "INFO")  # type: ignore[operator]


def test_a_database_that_is_not_there_is_an_error(redis: RedisServer) -> None:
    connection = Connection(f"{redis.url}?db=99")
    with pytest.raises(ConnectionFailed, match="refused SELECT: ERR DB index is out of range"):
        connection.open()
    assert not connection.is_open


def test_a_pipeline_is_one_write_and_keeps_the_order(redis: RedisServer) -> None:
    with Connection(redis.url) as connection:
        replies = connection.pipeline(
            [("SET", "p", 1), ("INCR", "p"), ("LPUSH", "p", "x"), ("GET", "p"), ("GET", "no")]
        )
        assert connection.calls.write == 1
    assert replies[:2] == [b"OK", 2]
    assert isinstance(replies[2], ReplyError)
    assert replies[3:] == [b"2", None]


def test_a_reply_larger_than_a_read_takes_more_of_them(redis: RedisServer) -> None:
    value = os.urandom(10 * READ_BYTES)
    with Connection(redis.url) as connection:
        connection.command("SET", "large", value)
        kernel = KernelCalls()
        before = connection.calls.read
        assert connection.command("GET", "large") == value
        reads = connection.calls.read - before
    assert reads > 10
    assert kernel.since() == {"write": 1, "read": reads}


def test_a_write_that_is_taken_in_parts_goes_on(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_write = os.write
    with Connection(redis.url) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: whole_write(fd, data[:5]))
            assert connection.command("ECHO", "in parts") == b"in parts"
        assert connection.calls.write == 6  # 28 bytes


def test_a_status_is_told_from_a_value(redis: RedisServer) -> None:
    with Connection(redis.url) as connection:
        assert isinstance(connection.command("SET", "ok", "OK"), Status)
        assert not isinstance(connection.command("GET", "ok"), Status)


def test_an_error_reply_is_returned(redis: RedisServer) -> None:
    with Connection(redis.url) as connection:
        reply = connection.command("NONSENSE")
        assert isinstance(reply, ReplyError)
        assert "unknown command" in str(reply)
        assert connection.command("PING") == b"PONG"


def test_closing_counts_once(redis: RedisServer) -> None:
    connection = Connection(redis.url)
    for _ in range(3):
        connection.open()
        connection.close()
        connection.close()
    assert (connection.calls.connect, connection.calls.close) == (3, 3)


def test_a_reply_in_single_bytes_is_put_together(tmp_path: Path) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(100)
        for byte in b"*2\r\n$5\r\nfirst\r\n:2\r\n":
            peer.send(bytes([byte]))

    with scripted_server(tmp_path, script) as url, Connection(url) as connection:
        assert connection.command("ANY") == [b"first", 2]


def test_a_refused_connection_names_the_address_and_the_next_step(tmp_path: Path) -> None:
    connection = Connection(f"unix://{tmp_path}/none.sock")
    with pytest.raises(ConnectionFailed, match=rf"cannot connect to {tmp_path}/none.sock: No such"):
        connection.open()
    assert (connection.calls.connect, connection.calls.close) == (1, 1)
    with pytest.raises(ConnectionFailed, match=r"forkkv serve --unix"):
        connection.open()


def test_over_tcp_a_small_write_is_sent_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connection = Connection(f"forkkv://127.0.0.1:{port}")
        connection.open()
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.close()
        assert connection.calls == SystemCalls(connect=1, write=0, read=0, close=1)


def test_a_host_that_is_no_host_is_an_error() -> None:
    with pytest.raises(ConnectionFailed, match="cannot look up"):
        Connection("forkkv://no..host").open()


def test_a_server_that_closes_is_noticed_and_can_be_opened_again(tmp_path: Path) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(100)
        peer.send(b"+PONG\r\n")
        peer.recv(100)  # and no reply

    with scripted_server(tmp_path, script) as url, Connection(url) as connection:
        for _ in range(2):
            assert connection.command("PING") == b"PONG"
            with pytest.raises(ConnectionLost, match="closed the connection"):
                connection.command("PING")
            assert not connection.is_open
            with pytest.raises(ConnectionLost, match="not connected"):
                connection.command("PING")
            connection.open()
        assert (connection.calls.connect, connection.calls.close) == (3, 2)


def test_a_server_that_is_full_says_so_at_opening(tmp_path: Path) -> None:
    def script(peer: socket.socket) -> None:
        peer.send(b"-ERR max number of clients reached\r\n")
        peer.recv(100)

    with scripted_server(tmp_path, script) as url:
        connection = Connection(url, name="client-1")
        with pytest.raises(ConnectionFailed, match="ERR max number of clients reached"):
            connection.open()


def test_a_server_of_another_protocol_is_named_as_such(tmp_path: Path) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(100)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        scripted_server(tmp_path, script) as url,
        Connection(url) as connection,
        pytest.raises(ConnectionLost, match="no Redis protocol server"),
    ):
        connection.command("PING")


def test_more_replies_than_commands_end_the_connection(tmp_path: Path) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(100)
        peer.send(b"+PONG\r\n+PONG\r\n")

    with (
        scripted_server(tmp_path, script) as url,
        Connection(url) as connection,
        pytest.raises(ConnectionLost, match="more than the reply"),
    ):
        connection.command("PING")


def test_a_silent_server_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    def script(peer: socket.socket) -> None:
        while peer.recv(100):
            pass

    with (
        scripted_server(tmp_path, script) as url,
        Connection(url, timeout_seconds=0.05) as connection,
        pytest.raises(ConnectionLost, match=r"no answer within 0\.05 s"),
    ):
        connection.command("PING")

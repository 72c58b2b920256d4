"""Requests on the wire: whole, in pieces, broken, and inline, read as Redis reads them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from door import Door, Peer, connect_unix, open_door, pack
from peers import RedisServer

PING = pack("PING")


@pytest.fixture(scope="module")
def redis_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.path
    server.stop()


@pytest.fixture
def theirs(redis_path: Path) -> Iterator[Peer]:
    peer = connect_unix(redis_path)
    yield peer
    peer.close()


@pytest.fixture
def door(table_name: str) -> Iterator[Door]:
    with open_door(table_name) as door:
        yield door


BROKEN = [
    b"*abc\r\n",
    b"*\r\n",
    b"*2147483648\r\n",
    b"*1\r\n:4\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$536870913\r\n",
    b'set a "b\r\n',
    b"set a 'b'c\r\n",
    b"x" * 70000,
    b"*" + b"1" * 70000,
    b"*1\r\n$" + b"1" * 70000,
    PING + b"*1\r\n$x\r\n" + PING,
]


@pytest.mark.parametrize("request_", BROKEN, ids=lambda text: repr(text[:20]))
def test_a_broken_request_gets_the_error_of_redis_and_the_end(
    door: Door, theirs: Peer, request_: bytes
) -> None:
    ours = door.connect()
    for peer in (ours, theirs):
        peer.send(request_)
    assert ours.until_closed() == theirs.until_closed()
    door.wait_until(lambda: door.closed == [b"protocol"])
    assert door.counts()["protocol_errors"] == 1


@pytest.mark.parametrize(
    "request_", [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"host: x\r\nping\r\n"]
)
def test_a_browser_is_not_answered(door: Door, request_: bytes) -> None:
    ours = door.connect()
    ours.send(request_)
    assert ours.until_closed() == b""
    door.wait_until(lambda: door.closed == [b"cross protocol"])


INLINE = [
    b"PING\r\n",
    b"ping\n",
    b"\r\n\n   \r\nping\r\n",
    b'echo "a \\x41\\n\\"" \n',
    b"echo 'it\\'s'\r\n",
    b"echo ''\r\n",
    b'echo pre"fix ed"\r\n',
    b"echo \xff\xfe\r\n",
    b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\nping\r\n",
]


@pytest.mark.parametrize("request_", INLINE, ids=repr)
def test_inline_commands_are_read_as_redis_reads_them(
    door: Door, theirs: Peer, request_: bytes
) -> None:
    ours = door.connect()
    for peer in (ours, theirs):
        peer.send(request_ + pack("ECHO", "end"))
    count = 3 if request_.startswith(b"*0") else 2
    assert ours.replies(count) == theirs.replies(count)


def test_requests_may_arrive_byte_by_byte(door: Door) -> None:
    ours = door.connect()
    request = pack("SET", "a", "some value") + b'get "a"\r\n' + pack("NOPE", "x") + PING
    for byte in request:
        ours.send(bytes([byte]))
        door.tick()
    assert ours.replies(4) == b"+OK\r\n$10\r\nsome value\r\n+NOPE\r\n+PONG\r\n"


def test_a_value_of_many_reads_arrives_whole(door: Door) -> None:
    ours = door.connect()
    value = os.urandom(2_000_000)
    for _ in range(3):
        assert ours.call("SET", "a", value) == b"+OK\r\n"
        assert ours.call("GET", "a") == b"$2000000\r\n" + value + b"\r\n"
    assert door.server.activity(door.connections[0])[2:4] == (0, 0)


def test_a_request_of_many_arguments_arrives_whole(door: Door) -> None:
    ours = door.connect()
    pairs = [f"{kind}:{number}" for number in range(20000) for kind in ("key", "value")]
    assert ours.call("MSET", *pairs) == b"+OK\r\n"
    assert ours.call("EXISTS", *pairs[::2]) == b":20000\r\n"
    assert ours.call("MGET", *pairs[::2]).count(b"value:") == 20000


def test_every_client_is_served_though_another_sends_without_end(door: Door) -> None:
    busy, patient = door.connect(), door.connect()
    busy.send(pack("SET", "a", "b" * 100) * 3000)
    patient.send(PING)
    ticks = door.counts()["ticks"]
    assert patient.replies(1) == b"+PONG\r\n"
    assert door.counts()["ticks"] - ticks < 10
    assert busy.replies(3000) == b"+OK\r\n" * 3000

"""Commands and replies as text: word for word what redis-cli reads and prints."""

import shlex
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import RedisServer, redis_server

from forkkv.clients.connection import Connection, Reply
from forkkv.clients.text import format_reply, quote, raw_reply, split_line


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (b"", []),
        (b"  \t\n", []),
        (b" SET  key\tvalue\r\n", [b"SET", b"key", b"value"]),
        (b"SET \"two words\" 'it\\'s'", [b"SET", b"two words", b"it's"]),
        (rb'"\x00\xFF\n\r\t\b\a\"\\\q"', [b'\x00\xff\n\r\t\b\a"\\q']),
        (rb"'as \n it \\ is'", [rb"as \n it \\ is"]),
        (b"\"\" ''", [b"", b""]),
        (b'pre"fix"', [b"prefix"]),
        (rb"bare\n", [rb"bare\n"]),
        ("ключ".encode(), ["ключ".encode()]),
    ],
)
def test_a_line_is_split_as_redis_cli_does(line: bytes, arguments: list[bytes]) -> None:
    assert split_line(line) == arguments


@pytest.mark.parametrize(
    "line", [b'"open', b"'open", b"'open\\'", rb"'\\'", b'"a"b', b"'a'b", b"a\"b\"'c'"]
)
def test_a_quote_out_of_place_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="close each quote"):
        split_line(line)


@given(st.lists(st.binary()))
def test_what_is_quoted_is_split_into_the_same(arguments: list[bytes]) -> None:
    assert split_line(" ".join(map(quote, arguments)).encode()) == arguments


COMMANDS = [
    "SET text 'say \"hi\"\\\\'",
    "GET text",
    "GET nothing",
    "STRLEN text",
    "MGET text nothing text",
    "KEYS nothing*",
    "EVAL 'return {1,{2,{3,\"x\"},{}},{1,2,3,4,5,6,7,8,9,10,11},{1,{2}},false}' 0",
    "EVAL 'return \"\\1\\r\\n\\t\\7\\8\\127\\200é\"' 0",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reply_looks_as_in_redis_cli(redis: RedisServer, command: str) -> None:
    arguments = shlex.split(command)
    with Connection(redis.url) as connection:
        reply = connection.command(*arguments)
    assert format_reply(reply).encode() + b"\n" == redis.cli(*arguments, terminal=True)
    assert raw_reply(reply) + b"\n" == redis.cli(*arguments)


def test_an_error_looks_as_in_redis_cli(redis: RedisServer) -> None:
    with Connection(redis.url) as connection:
        reply = connection.command("NONSENSE")
    assert format_reply(reply).encode() + b"\n" == redis.cli("NONSENSE", terminal=True)
    assert raw_reply(reply) == redis.cli("NONSENSE").strip(b"\n")


@pytest.mark.parametrize(
    ("reply", "formatted", "raw"),
    [
        ({b"a": 1, b"b": [2, None]}, '1# "a" => (integer) 1\n2# "b" => 1) (integer) 2\n   2) (nil)',
         b"a 1\nb 2\n"),
        ({}, "(empty hash)", b""),
        (1.5, "(double) 1.5", b"1.5"),
        (True, "(true)", b"(true)"),
    ],
)  # fmt: skip
def test_a_reply_of_protocol_3_has_a_form(reply: Reply, formatted: str, raw: bytes) -> None:
    assert (format_reply(reply), raw_reply(reply)) == (formatted, raw)

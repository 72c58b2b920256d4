"""Replies are the bytes that the protocol asks for, in both versions."""

import hiredis
import pytest

from forkkv.reply import Error, Reply, Status, Verbatim, encode, quoted


@pytest.mark.parametrize(
    ("value", "resp2", "resp3"),
    [
        (None, b"$-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (False, b":0\r\n", b"#f\r\n"),
        (-7, b":-7\r\n", b":-7\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (2.0, b"$1\r\n2\r\n", b",2\r\n"),
        ("é", b"$2\r\n\xc3\xa9\r\n", b"$2\r\n\xc3\xa9\r\n"),
        (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
        (Status("OK"), b"+OK\r\n", b"+OK\r\n"),
        (Error("ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
        (Verbatim("hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
        ([1, [None]], b"*2\r\n:1\r\n*1\r\n$-1\r\n", b"*2\r\n:1\r\n*1\r\n_\r\n"),
        ({"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        (frozenset([Status("x")]), b"*1\r\n+x\r\n", b"~1\r\n+x\r\n"),
    ],
)
def test_encodes_each_kind_of_value(value: Reply, resp2: bytes, resp3: bytes) -> None:
    assert encode(value, 2) == resp2
    assert encode(value, 3) == resp3


def test_a_client_cannot_break_the_line_of_an_error() -> None:
    assert encode(Error("ERR unknown command 'a\r\n+OK\r\n'"), 2).count(b"\r\n") == 1


def test_a_real_parser_reads_a_nested_reply_back() -> None:
    reader = hiredis.Reader()
    reader.feed(encode({"list": [1, {"deep": None}], "text": Verbatim("a\r\nb")}, 3))
    assert reader.gets() == {b"list": [1, {b"deep": None}], b"text": b"a\r\nb"}


def test_quoted_words_are_cut_and_end_at_a_zero_byte() -> None:
    assert quoted(b"ab\0cd") == "ab"
    assert len(quoted(b"x" * 1000)) == 128
    assert encode(Error(quoted(b"\xff\xfe")), 2) == b"-\xff\xfe\r\n"

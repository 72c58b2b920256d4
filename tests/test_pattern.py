"""Glob patterns match what they match in Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkkv.pattern import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "fits", "misses"),
    [
        (b"*", [b"", b"abc", b"\n\xff"], []),
        (b"h?llo", [b"hello", b"h\nllo"], [b"hllo", b"heello"]),
        (b"h*llo", [b"hllo", b"heeeello"], [b"hell"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"h[a-b]llo", [b"hallo", b"hbllo"], [b"hcllo"]),
        (b"[z-x]", [b"y"], [b"a"]),
        (b"[a-]]", [b"a", b"]", b"_"], [b"b"]),
        (b"[\\]]", [b"]"], [b"\\"]),
        (b"[]", [], [b"", b"]"]),
        (b"[^]", [b"]"], [b""]),
        (b"[ab", [b"a", b"b"], [b"["]),
        (b"\\*", [b"*"], [b"a"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"a**b*", [b"ab", b"axxb", b"abyy"], [b"ba"]),
        (b"*a*b", [b"ab", b"abab", b"xaxb"], [b"ba", b"aba"]),
    ],
)
def test_matches_as_redis_does(pattern: bytes, fits: list[bytes], misses: list[bytes]) -> None:
    matcher = compile_pattern(pattern)
    assert [text for text in fits if not matcher.fullmatch(text)] == []
    assert [text for text in misses if matcher.fullmatch(text)] == []


@given(st.binary())
def test_an_escaped_text_matches_itself_only(text: bytes) -> None:
    pattern = b"".join(b"\\%c" % byte for byte in text)
    assert compile_pattern(pattern).fullmatch(text)
    assert not compile_pattern(pattern).fullmatch(text + b"x")


@given(st.binary())
def test_every_pattern_can_be_compiled(pattern: bytes) -> None:
    compile_pattern(pattern).fullmatch(b"some text")


@pytest.mark.timeout(20)  # without atomic groups it would not end in a lifetime
def test_many_stars_do_not_multiply_the_work() -> None:
    assert not compile_pattern(b"a*" * 40 + b"b").fullmatch(b"a" * 1000)


def test_case_can_be_ignored() -> None:
    assert compile_pattern(b"MAX[a-z]*", ignore_case=True).fullmatch(b"maxmemory")

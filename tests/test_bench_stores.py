"""The servers of the memory benchmark are told from each other by their answers, and from none."""

import os

import click
import pytest

from forkkv.perf.bench_process import need
from forkkv.perf.bench_stores import MEMCACHE, RESP, private_bytes


def test_a_value_that_is_not_there_has_no_size() -> None:
    assert (RESP.read_size(b":50"), RESP.read_size(b":0")) == (50, 0)
    assert (MEMCACHE.read_size(b"HD s50"), MEMCACHE.read_size(b"EN")) == (50, 0)


def test_the_time_to_live_is_part_of_the_request() -> None:
    assert RESP.store(b"k", b"v", 0) == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"
    assert RESP.store(b"k", b"v", 9).endswith(b"$2\r\nEX\r\n$1\r\n9\r\n")
    assert MEMCACHE.store(b"k", b"value", 9) == b"set k 0 9 5\r\nvalue\r\n"


def test_a_process_has_memory_of_its_own() -> None:
    before = private_bytes(os.getpid())
    kept = b"\1" * (8 << 20)
    assert private_bytes(os.getpid()) - before > len(kept) // 2


@pytest.mark.parametrize(
    ("program", "package"), [("memcached", "memcached"), ("redis-cli", "redis-tools")]
)
def test_what_is_not_installed_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(click.ClickException, match=f"{program} is missing.*install {package}"):
        need(program)

"""The log is one line per event: time, pid, who, message."""

import logging
import os
import re
from collections.abc import Iterator

import pytest

from forkkv.log import get_log, start_log


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_says_when_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    start_log()
    get_log("worker", 2).info("hello %d", 7)
    get_log("master").warning("careful")
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d [\d:,]+ {os.getpid()} worker 2: hello 7", first)
    assert second.endswith(f"{os.getpid()} master: careful")


def test_it_can_be_started_twice_without_doubling_lines(capsys: pytest.CaptureFixture[str]) -> None:
    start_log()
    start_log()
    get_log("master").info("once")
    assert capsys.readouterr().err.count("once") == 1

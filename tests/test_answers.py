"""A worker between two pieces of a long answer: the other connections have their turn."""

from collections.abc import Generator
from typing import Any

import pytest

from forkkv import worker
from forkkv.worker import Worker


class FakeServer:
    """Hands out prepared events, and notes what it is told."""

    def __init__(self, *ticks: list[tuple[str, int, Any]]) -> None:
        self.ticks = list(ticks)
        self.timeouts: list[int] = []
        self.replies: list[tuple[int, bytes]] = []

    def tick(self, timeout_ms: int) -> list[tuple[str, int, Any]]:
        self.timeouts.append(timeout_ms)
        return self.ticks.pop(0) if self.ticks else []

    def answer(self, connection: int, reply: bytes) -> None:
        self.replies.append((connection, reply))


def in_pieces(context: Any, client: Any, argv: list[bytes]) -> Generator[None, None, bytes]:
    """An answer that takes so many pieces more than one."""
    for _ in range(int(argv[0])):
        yield
    return argv[0]


def make_worker(monkeypatch: pytest.MonkeyPatch, *ticks: list[tuple[str, int, Any]]) -> Any:
    made: Any = Worker.__new__(Worker)
    made.server, made.answers = FakeServer(*ticks), {}
    made.context = type("Context", (), {"clients": {1: "one", 2: "two", 3: "three"}})()
    monkeypatch.setattr(worker, "answer", in_pieces)
    return made


def test_a_long_answer_does_not_hold_up_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_worker(monkeypatch, [("command", 1, [b"3"])], [("command", 2, [b"0"])])
    for _ in range(5):
        made.tick(10)
    assert made.server.replies == [(2, b"0"), (1, b"3")]
    assert made.server.timeouts == [10, 0, 0, 10, 10]


def test_long_answers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_worker(monkeypatch, [("command", 1, [b"4"]), ("command", 2, [b"2"])])
    for _ in range(8):
        made.tick(10)
    assert made.server.replies == [(2, b"2"), (1, b"4")]


def test_an_answer_that_nobody_waits_for_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_worker(monkeypatch, [("command", 3, [b"9"])], [("close", 3, [b"gone"])])
    for _ in range(12):
        made.tick(10)
    assert made.server.replies == [] and made.answers == {}

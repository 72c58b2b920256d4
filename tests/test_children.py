"""Children end as children, and the master knows how."""

import os
import signal
from collections.abc import Iterator

import pytest
from conftest import wait_until

from forkkv.children import EXIT_FAILED, FOR_THE_MASTER, Children, Death


@pytest.fixture(autouse=True)
def blocked_as_in_the_master() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reap_all(children: Children) -> list[Death]:
    deaths: list[Death] = []
    wait_until(lambda: deaths.extend(children.reap()) or not children, "children to end")  # type: ignore[func-returns-value]
    return deaths


def sleep_for_ever() -> int:
    signal.sigtimedwait({signal.SIGUSR2}, 60)
    return 0


def test_a_death_tells_the_exit_code() -> None:
    children = Children()
    child = children.fork("worker", 3, lambda: 7)
    (death,) = reap_all(children)
    assert str(death) == f"worker 3, pid {child.pid}, exited with code 7"
    assert not death.expected


def test_a_death_tells_the_signal() -> None:
    children = Children()
    child = children.fork("keeper", 0, sleep_for_ever)
    children.kill(child)
    (death,) = reap_all(children)
    assert str(death) == f"keeper, pid {child.pid}, was killed by SIGKILL"


def test_a_failing_body_ends_the_child_only() -> None:
    children = Children()
    children.fork("worker", 0, lambda: 1 // 0)
    (death,) = reap_all(children)
    assert os.waitstatus_to_exitcode(death.status) == EXIT_FAILED


def test_a_child_starts_with_fresh_signals() -> None:
    def body() -> int:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        ignored = all(signal.getsignal(each) == signal.SIG_IGN for each in FOR_THE_MASTER)
        return 0 if blocked == {signal.SIGTERM} and ignored else 1

    children = Children()
    children.fork("worker", 0, body)
    (death,) = reap_all(children)
    assert os.waitstatus_to_exitcode(death.status) == 0


def test_a_term_sent_right_after_the_fork_is_not_lost() -> None:
    def body() -> int:
        return 0 if signal.sigtimedwait({signal.SIGTERM}, 20) else 1

    children = Children()
    child = children.fork("worker", 0, body)
    children.ask_to_leave(child, grace_seconds=60)
    (death,) = reap_all(children)
    assert death.expected
    assert os.waitstatus_to_exitcode(death.status) == 0


def test_who_does_not_leave_in_time_is_killed() -> None:
    children = Children()
    child = children.fork("worker", 0, sleep_for_ever)
    children.ask_to_leave(child, grace_seconds=0)
    wait_until(lambda: bool(children.kill_late()), "the grace to end")
    (death,) = reap_all(children)
    assert death.expected
    assert "SIGKILL" in str(death)


def test_who_was_asked_to_leave_does_not_count_as_staying() -> None:
    children = Children()
    first = children.fork("worker", 0, sleep_for_ever)
    second = children.fork("worker", 1, sleep_for_ever)
    children.ask_to_leave(first, grace_seconds=0)
    assert children.staying("worker") == {1: second}
    children.kill(second)
    wait_until(lambda: bool(children.kill_late()), "the grace to end")
    reap_all(children)

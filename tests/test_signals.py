"""Signals wait until they are taken, one at a time."""

import os
import signal
from collections.abc import Iterator

import pytest
from conftest import wait_until

from forkkv.signals import TIMEOUT, block_signals, take_signal

NUMBERS = (signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    block_signals(NUMBERS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    while signal.sigpending() & {*NUMBERS, TIMEOUT}:
        signal.sigwait({*NUMBERS, TIMEOUT})
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_signal_that_came_before_is_taken_at_once() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    assert take_signal(NUMBERS, 60) == signal.SIGUSR1


def test_two_signals_are_taken_one_after_the_other() -> None:
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert {take_signal(NUMBERS, 60), take_signal(NUMBERS, 60)} == set(NUMBERS)


def test_time_runs_out() -> None:
    assert take_signal(NUMBERS, 0.01) is None


def test_a_stop_of_the_process_makes_no_signal_up() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if take_signal(NUMBERS, 0.05) is None else 1)
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    wait_until(lambda: signal.sigtimedwait({signal.SIGUSR1}, 0.1) is None, "the time to run out")
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, 0)[1] == 0

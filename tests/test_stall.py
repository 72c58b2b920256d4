"""Only a process that is silent while the watcher is awake counts as stalled."""

from forkkv.stall import StallWatch


def test_a_heartbeat_that_stands_still_for_the_limit_is_a_stall() -> None:
    watch = StallWatch(limit_seconds=10)
    verdicts = [watch.stalled({1: 5, 2: second}, now=second) for second in range(12)]
    assert verdicts[:11] == [[]] * 11
    assert verdicts[11] == [1]


def test_a_process_that_never_came_up_is_stalled_too() -> None:
    watch = StallWatch(limit_seconds=2)
    assert [watch.stalled({1: 0}, now) for now in (0, 1, 2, 3)][-1] == [1]


def test_a_stop_of_the_watcher_itself_kills_nobody() -> None:
    watch = StallWatch(limit_seconds=10)
    watch.stalled({1: 5}, now=0)
    assert watch.stalled({1: 5}, now=60) == []
    for second in range(61, 70):
        assert watch.stalled({1: 5}, now=second) == []
    assert watch.stalled({1: 5}, now=71) == [1]


def test_a_pid_that_is_used_again_starts_anew() -> None:
    watch = StallWatch(limit_seconds=2)
    watch.stalled({1: 5}, now=0)
    watch.stalled({}, now=1)
    watch.stalled({1: 5}, now=2)
    assert watch.stalled({1: 5}, now=4) == []

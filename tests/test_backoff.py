"""A process that dies is started again at once; one that keeps dying young is not."""

from forkkv.backoff import DELAY_MAX, YOUNG_DEATHS_MAX, Backoff


def test_the_first_death_costs_no_delay() -> None:
    backoff = Backoff()
    backoff.note_death(lived_seconds=0.01, now=100.0)
    assert backoff.not_before == 100.0


def test_young_deaths_in_a_row_grow_the_delay_up_to_its_limit() -> None:
    backoff = Backoff()
    delays = []
    for _ in range(YOUNG_DEATHS_MAX - 1):
        backoff.note_death(lived_seconds=0.01, now=100.0)
        delays.append(backoff.not_before - 100.0)
    assert delays == sorted(delays)
    assert delays[0] == delays[1] == 0 < delays[2]
    assert delays[-1] == DELAY_MAX
    assert not backoff.hopeless


def test_it_gives_up_in_the_end() -> None:
    backoff = Backoff()
    for _ in range(YOUNG_DEATHS_MAX):
        backoff.note_death(lived_seconds=0.01, now=100.0)
    assert backoff.hopeless


def test_a_process_that_lived_long_starts_the_count_again() -> None:
    backoff = Backoff()
    for _ in range(YOUNG_DEATHS_MAX - 1):
        backoff.note_death(lived_seconds=0.01, now=100.0)
    backoff.note_death(lived_seconds=60.0, now=200.0)
    assert backoff.not_before == 200.0
    backoff.note_death(lived_seconds=0.01, now=201.0)
    assert not backoff.hopeless

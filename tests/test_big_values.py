"""Large values among small ones are stored while there is memory for them, however scattered."""

import pytest
from big_values import Torturer
from forked import Forked

import forkkv

MEMORY = 64 << 20


@pytest.mark.parametrize("seed", [1, 2])
def test_large_values_among_small_ones_are_never_refused(table_name: str, seed: int) -> None:
    with forkkv.attach(table_name, create=True, memory=MEMORY) as table:
        torturer = Torturer(table, seed)
        torturer.run(1200)
        torturer.expect_all()
        assert torturer.tally.large > 100


def test_two_processes_store_large_values_side_by_side(table_name: str) -> None:
    def torture(seed: int) -> None:
        with forkkv.attach(table_name) as own:
            torturer = Torturer(own, seed, processes=2)
            torturer.run(800)
            torturer.expect_all()

    with (
        forkkv.attach(table_name, create=True, memory=MEMORY),
        Forked(lambda _: torture(3)) as one,
        Forked(lambda _: torture(4)) as other,
    ):
        one.finish()
        other.finish()

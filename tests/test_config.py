"""Options that make no sense are refused with the range that does."""

from typing import Any

import pytest

from forkkv.config import Config, cores, option_names, variable


def test_defaults_are_valid() -> None:
    config = Config()
    assert (config.port, config.workers, config.memory) == (6390, cores(), None)


@pytest.mark.parametrize(
    "options",
    [
        {"port": 65536},
        {"port": -1},
        {"workers": 0},
        {"workers": 65},
        {"maxclients": 0},
        {"grace": -1},
        {"stall": 1},
        {"lock_timeout": 0},
        {"lock_timeout": 61, "stall": 200},
        {"unix_mode": 0o1000},
        {"bulk_length": 10},
    ],
)
def test_an_option_out_of_range_names_itself_and_the_range(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')}.* give .* to "):
        Config(**options)


def test_too_little_memory_says_how_much_is_enough() -> None:
    with pytest.raises(ValueError, match="4mb or more"):
        Config(memory=1000)


def test_a_worker_that_waits_for_a_lock_must_not_look_dead() -> None:
    with pytest.raises(ValueError, match="--lock-timeout 6 is more than half of --stall 10"):
        Config(lock_timeout=6)
    assert Config(lock_timeout=6, stall=12).lock_timeout == 6


def test_no_port_and_no_unix_socket_is_refused() -> None:
    with pytest.raises(ValueError, match="--unix PATH"):
        Config(port=0)
    assert Config(port=0, unix="/tmp/x").port == 0


def test_each_option_has_its_own_variable() -> None:
    variables = [variable(name) for name in option_names()]
    assert "FORKKV_UNIX_MODE" in variables
    assert len(set(variables)) == len(variables)

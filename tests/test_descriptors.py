"""The limit of open files is raised as far as it is needed and allowed."""

import resource
from collections.abc import Iterator

import pytest

from forkkv.descriptors import RESERVED, raise_descriptor_limit


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    assert raise_descriptor_limit(300) == 300
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300 + RESERVED, limits[1])


def test_a_high_limit_is_left_alone(limits: tuple[int, int]) -> None:
    assert raise_descriptor_limit(1) == 1
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_what_the_hard_limit_allows_is_told(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert raise_descriptor_limit(10_000) == 1024 - RESERVED

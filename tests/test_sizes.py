"""Sizes as people write them."""

import pytest

from forkkv.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        (4096, 4096),
        ("512b", 512),
        ("256kb", 256 << 10),
        ("64mb", 64 << 20),
        ("64MB", 64 << 20),
        ("64m", 64 << 20),
        (" 64 MiB ", 64 << 20),
        ("1gb", 1 << 30),
        ("2tb", 2 << 40),
    ],
)
def test_a_unit_is_a_power_of_1024(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "mb", "64xb", "-1", -1, "1.5gb", "64mb!", "٦٤mb", True])
def test_what_is_no_size_is_refused_with_examples(text: str | int) -> None:
    with pytest.raises(ValueError, match="write 64mb, 1gb, 256kb or a number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (64 << 20, "64.0 MiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_a_size_is_shown_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_size(size) == text

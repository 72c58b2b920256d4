"""What COMMAND tells of one command."""

import pytest

from forkkv.catalog import Command, describe, document, help_lines
from forkkv.reply import Status

CHILD = Command("box|open", 3, None, "admin", "server", "Opens it.")
BOX = Command("box", -2, None, "", "server", "A box.", subcommands=(CHILD,))
GET = Command("get", 2, None, "readonly fast", "string", "Reads.", (1, 1, 1))


@pytest.mark.parametrize(
    ("arity", "words", "accepted"), [(2, 2, True), (2, 3, False), (-2, 1, False), (-2, 9, True)]
)
def test_arity_is_exact_or_a_minimum(arity: int, words: int, accepted: bool) -> None:
    assert Command("x", arity, None).accepts(words) is accepted


def test_categories_follow_from_flags_and_group() -> None:
    assert GET.categories == ["@read", "@string", "@fast"]
    assert CHILD.categories == ["@admin", "@slow"]
    assert Command("del", -2, None, "write", "generic").categories == [
        "@write",
        "@keyspace",
        "@slow",
    ]


def test_a_description_has_the_ten_fields_of_redis_7() -> None:
    described = describe(GET)
    assert isinstance(described, list)
    assert described[:2] == ["get", 2]
    assert described[2] == frozenset([Status("readonly"), Status("fast")])
    assert described[3:6] == [1, 1, 1]
    assert len(described) == 10


def test_subcommands_are_described_and_documented_inside() -> None:
    described = describe(BOX)
    assert isinstance(described, list)
    assert described[9] == [describe(CHILD)]
    assert document(BOX) == {
        "summary": "A box.",
        "group": "server",
        "subcommands": {"box|open": {"summary": "Opens it.", "group": "server"}},
    }


def test_help_names_each_subcommand_and_what_it_does() -> None:
    assert help_lines(BOX) == [
        Status("BOX <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
        Status("OPEN"),
        Status("    Opens it."),
    ]

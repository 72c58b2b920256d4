"""_core.pyi says what the extension has."""

import ast
from pathlib import Path

import forkkv
from forkkv import _core


def names_in_stub(class_name: str) -> set[str]:
    """The attributes and methods that _core.pyi gives the class, without special methods."""
    stub = ast.parse(Path(forkkv.__file__).with_name("_core.pyi").read_text())
    classes = [each for each in stub.body if isinstance(each, ast.ClassDef)]
    [body] = [each.body for each in classes if each.name == class_name]
    names = {each.name for each in body if isinstance(each, ast.FunctionDef)}
    for each in body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            names.add(each.target.id)
    return {name for name in names if not name.startswith("_")}


def test_the_stub_names_what_table_has() -> None:
    public = {name for name in vars(_core.Table) if not name.startswith("_")}
    assert public == names_in_stub("Table")


def test_every_method_says_what_it_does() -> None:
    methods = [each for name, each in vars(_core.Table).items() if not name.startswith("_")]
    assert all(each.__doc__ for each in methods)


def test_the_stub_names_the_facts(table: _core.Table) -> None:
    assert set(table.facts()) == names_in_stub("Facts")
    assert set(table.participants()[0]) == names_in_stub("ParticipantFacts")
    assert set(table.departed()) == names_in_stub("Departed")

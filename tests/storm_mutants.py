"""The storm's control in C: each mutation of the table breaks one promise, and a storm must see it.

    python tests/storm_mutants.py [--kills N]

The tree is copied, changed, and built there; the storm then runs on that build. First it runs over
an unchanged copy, where it must find nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
PARTS = (
    "shm",
    "forkkv",
    "clients",
    "perf",
    "tests",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


@dataclass(frozen=True)
class Mutation:
    """One change of one file of the table."""

    breaks: str
    file: str
    before: str
    after: str


MUTATIONS = [
    Mutation(
        "a lock keeps others out",
        "lock.c",
        "if (__builtin_expect(acquire(table, lock, 0, 0), 1))",
        "if (acquire(table, lock, 0, 0) || true)",
    ),
    Mutation(
        "a revision is published only over what it was made from",
        "revise.c",
        "if (there == r->there && (!there",
        "if (there == r->there && (true || !there",
    ),
    Mutation(
        "a read of many keys is confirmed",
        "get_many.c",
        "(status == FKV_OK && confirm_each(table, work))",
        "(status == FKV_OK && (true || confirm_each(table, work)))",
    ),
]
UNCHANGED = Mutation("nothing", "lock.c", "#define SPINS 100\n", "#define SPINS 100\n")


def build(mutation: Mutation, tree: Path) -> None:
    """Makes the changed build in `tree`."""
    for part in PARTS:
        source = ROOT / part
        ignore = shutil.ignore_patterns("_core*.so", "__pycache__")
        if source.is_dir():
            shutil.copytree(source, tree / part, ignore=ignore)
        else:
            shutil.copy(source, tree / part)
    for part in ("clients", "perf"):
        (tree / "forkkv" / part).symlink_to(tree / part)
    path = tree / "shm" / mutation.file
    text = path.read_text()
    assert text.count(mutation.before) == 1, f"{mutation.file} has changed: {mutation.before}"
    path.write_text(text.replace(mutation.before, mutation.after))
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tree, check=True)


def is_caught(mutation: Mutation, kills: int) -> bool:
    """Whether a storm over the changed build finds anything, or does not even get through."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        build(mutation, tree)
        command = [sys.executable, "tests/storm.py", "--kills", str(kills), "--memory", "8mb"]
        paths = os.environ | {"PYTHONPATH": str(tree)}
        storm = subprocess.run(command, cwd=tree, env=paths, capture_output=True, text=True)
    print(f"{mutation.breaks}: exit code {storm.returncode}")
    print("\n".join(line[:160] for line in (storm.stdout + storm.stderr).splitlines()[-3:]))
    return storm.returncode != 0


@click.command()
@click.option("--kills", default=1000, show_default=True)
def main(kills: int) -> None:
    """Exit code 1: a mutation was not caught, or the storm fails without one."""
    if is_caught(UNCHANGED, kills):
        sys.exit("a storm over the unchanged table fails; that comes first")
    missed = [each.breaks for each in MUTATIONS if not is_caught(each, kills)]
    for promise in missed:
        print(f"not caught: {promise}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()

"""Runs every scenario and its neighbour many times: is the situation named first, and only then?

Usage: make diagnose, or python -m forkkv.perf.proof.matrix [--runs N] [SITUATION...]. It prints a
table, and ends with exit code 1 unless each situation was found every time, without a false alarm.
"""

import json
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
import psutil

import forkkv
from forkkv.perf import diagnose
from forkkv.perf.diagnose import Subject
from forkkv.perf.proof.scenarios import SCENARIOS, Scenario, told
from forkkv.perf.proof.stage import Stage
from forkkv.perf.rules import RULES
from forkkv.perf.run import NotARun, load

GOES_WRONG: Final = (
    OSError,
    LookupError,
    subprocess.SubprocessError,
    psutil.Error,
    forkkv.Error,
    NotARun,
)
CONTEXT: Final = {"seconds", "calls", "commands", "calls_per_command", "cpu_seconds", "cpu_share"}
LOOKED_AT: Final = CONTEXT.union(*(rule.all_quantities for rule in RULES))
PROGRESS: Final = 10  # plays between two lines of progress where there is no terminal


@dataclass
class Score:
    """How often a situation was named first when it was there, and at all when it was not."""

    runs: int = 0
    found: int = 0
    near_runs: int = 0
    false_alarms: int = 0
    wrong: list[str] = field(default_factory=list)  # what was said instead

    def add(self, situation: str, near: bool, said: list[str]) -> None:
        """Counts one run, in which `said` was found, the strongest first; empty: it went wrong."""
        right = bool(said) and (situation not in said if near else said[0] == situation)
        if near:
            self.near_runs += 1
            self.false_alarms += not right
        else:
            self.runs += 1
            self.found += right
        if not right:
            self.wrong.append(f"{'neighbour' if near else 'itself'}: {', '.join(said) or 'failed'}")

    @property
    def right(self) -> bool:
        """Whether every run was judged right."""
        return self.found == self.runs and not self.false_alarms


def play(scenario: Scenario, near: bool) -> list[Subject]:
    """One run: every process with its numbers. Raises one of GOES_WRONG."""
    with Stage() as stage:
        scenario(stage, near)
        return diagnose.subjects(load(stage.out))


def situations(judged: list[Subject]) -> list[str]:
    """The names of what was found, the strongest first."""
    return [finding.rule.situation for finding in diagnose.findings(judged)]


@click.command()
@click.argument("names", nargs=-1, metavar="[SITUATION]...")
@click.option("--runs", default=10, show_default=True, help="How often each is played.")
@click.option("--seed", type=int, help="Of the order in which they are played.")
@click.option(
    "--record", type=click.Path(path_type=Path), help="Write the numbers of one run each."
)
def main(names: tuple[str, ...], runs: int, seed: int | None, record: Path | None) -> None:
    """Play the scenarios (all, or those named) in random order, and print the matrix."""
    if unknown := set(names) - SCENARIOS.keys():
        raise click.UsageError(f"no scenario {', '.join(unknown)}; there are {list(SCENARIOS)}")
    chosen = {name: SCENARIOS[name] for name in names or SCENARIOS}
    seed = random.randrange(1 << 32) if seed is None else seed
    click.echo(f"{len(chosen)} situations and their neighbours, {runs} runs of each, seed {seed}")
    plays = [(name, near) for name in chosen for near in (False, True)] * runs
    random.Random(seed).shuffle(plays)
    scores = {name: Score() for name in chosen}
    numbers: dict[str, list[dict[str, object]]] = {}
    for place, (name, near) in enumerate(plays, 1):
        judged = _attempt(chosen[name], near)
        scores[name].add(name, near, situations(judged) if judged else [])
        numbers[f"{name}{'-near' if near else ''}"] = recorded(judged)
        if sys.stderr.isatty() or place % PROGRESS == 0:
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{place} of {len(plays)}", end=end, file=sys.stderr, flush=True)
    if record is not None:
        lines = (f'"{name}": {json.dumps(numbers[name])}' for name in sorted(numbers))
        record.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    click.echo(table(scores))
    sys.exit(0 if all(score.right for score in scores.values()) else 1)


def _attempt(scenario: Scenario, near: bool) -> list[Subject]:
    """One run; nobody, and the reason printed, if it could not be played."""
    try:
        return play(scenario, near)
    except GOES_WRONG as error:
        print(f"{scenario.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
        return []


def recorded(judged: list[Subject]) -> list[dict[str, object]]:
    """The numbers of a run, as tests/data/diagnosis.json keeps them."""
    return [
        {
            "label": subject.label,
            "role": subject.role,
            "known": {n: float(f"{v:.4g}") for n, v in subject.known.items() if n in LOOKED_AT},
        }
        for subject in judged
    ]


def table(scores: dict[str, Score]) -> str:
    """The matrix in Markdown, and below it what was said wrongly."""
    head = [
        "| situation | made by | found first | near it | false alarms |",
        "|---|---|---|---|---|",
    ]
    rows = [_row(name, score) for name, score in scores.items()]
    wrong = [f"{name}, {text}" for name, score in scores.items() for text in score.wrong]
    return "\n".join(["", *head, *rows, *([""] if wrong else []), *wrong])


def _row(name: str, score: Score) -> str:
    made, near = told(SCENARIOS[name])
    found, alarms = f"{score.found} of {score.runs}", f"{score.false_alarms} of {score.near_runs}"
    return f"| `{name}` | {made} | {found} | {near} | {alarms} |"


if __name__ == "__main__":
    main()

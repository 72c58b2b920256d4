"""The recorded runs and their golden reports; run as a program, it rewrites the reports.

It also rewrites the table of situations in docs/lab.md, which is made from the rules.

`make golden` runs it after a change that is meant; the difference is then read before it is kept.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from forkkv.perf import comparison
from forkkv.perf.compare import compare
from forkkv.perf.render import to_json, to_markdown, to_text
from forkkv.perf.report import build
from forkkv.perf.rule import Rule
from forkkv.perf.rules import FINDINGS
from forkkv.perf.run import load

DATA: Final = Path(__file__).parent / "data" / "perf"
LAB: Final = Path(__file__).parent.parent / "docs" / "lab.md"
COMPARED: Final = DATA / "churn-to-pipelined.txt"
FORMATS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "report.txt": to_text,
    "report.md": to_markdown,
    "report.json": to_json,
}


def recorded_runs() -> list[Path]:
    """The directories that collect.sh once wrote, with the kernel's name made general."""
    return sorted(path.parent for path in DATA.glob("*/run.json"))


def golden_reports() -> list[Path]:
    """The reports that are kept: the text of every run, and every format of one."""
    kept = [run / "report.txt" for run in recorded_runs()]
    return [*kept, *(DATA / "two-clients" / name for name in FORMATS if name != "report.txt")]


def render(directory: Path, name: str) -> str:
    """The report that the code makes now. It names the directory as if it lay here."""
    report = build(load(directory))
    report["run"]["directory"] = directory.name
    return FORMATS[name](report)


def render_comparison() -> str:
    """What changed between two recorded runs, as text. It names them as if they lay here."""
    built = compare(load(DATA / "churn"), load(DATA / "pipelined"))
    built["a"]["directory"], built["b"]["directory"] = "churn", "pipelined"
    return to_text(built, layout=comparison.sections)


def situations() -> str:
    """The table of docs/lab.md: what the first rule of each situation says, without its numbers."""
    first: dict[str, Rule] = {}
    for rule in FINDINGS:
        first.setdefault(rule.situation, rule)
    rows = [
        f"| `{name}` | {open_(r.meaning)} | {open_(r.inference)} |" for name, r in first.items()
    ]
    return "\n".join(["| situation | what it means | what to do |", "|---|---|---|", *rows]) + "\n"


def open_(sentence: str) -> str:
    """A rule's sentence with N for every number."""
    return re.sub(r"\{\w+?(_per_second)?\}", lambda m: "N/s" if m[1] else "N", sentence)


def write_situations() -> None:
    """Puts the table between its two marks."""
    marks = r"(?<=<!-- situations -->\n).*?(?=<!-- /situations -->)"
    LAB.write_text(re.sub(marks, lambda _: situations(), LAB.read_text(), flags=re.DOTALL))


def main() -> None:
    write_situations()
    print(LAB.name)
    COMPARED.write_text(render_comparison())
    print(COMPARED.relative_to(DATA))
    for golden in golden_reports():
        golden.write_text(render(golden.parent, golden.name))
        print(golden.relative_to(DATA))


if __name__ == "__main__":
    main()

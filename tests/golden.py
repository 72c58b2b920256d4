"""The recorded runs and their golden reports; run as a program, it rewrites the reports.

`make golden` runs it after a change that is meant; the difference is then read before it is kept.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from forkkv.perf import comparison
from forkkv.perf.compare import compare
from forkkv.perf.render import to_json, to_markdown, to_text
from forkkv.perf.report import build
from forkkv.perf.run import load

DATA: Final = Path(__file__).parent / "data" / "perf"
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


def main() -> None:
    COMPARED.write_text(render_comparison())
    print(COMPARED.relative_to(DATA))
    for golden in golden_reports():
        golden.write_text(render(golden.parent, golden.name))
        print(golden.relative_to(DATA))


if __name__ == "__main__":
    main()

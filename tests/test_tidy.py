"""House rules that can be checked: sizes, first sentences, layers, leftovers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = sorted(
    path
    for folder in ("forkkv", "clients", "perf", "perf/page", "perf/proof", "perf/top")
    for path in ROOT.glob(f"{folder}/*.py")
)
C = sorted(
    path
    for folder in ("shm", "forkkv/wire", "forkkv/binding")
    for path in [*ROOT.glob(f"{folder}/*.c"), *ROOT.glob(f"{folder}/*.h")]
)
SHELL = sorted(ROOT.glob("perf/*.sh"))
SOURCES = PYTHON + C + SHELL

C_FILE_LINES, C_FUNCTION_LINES = 500, 60
PYTHON_FILE_LINES, PYTHON_FUNCTION_LINES = 300, 40


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def first_sentence(path: Path) -> str:
    """What the file says it is."""
    text = path.read_text()
    if path.suffix == ".py":
        comment = ast.get_docstring(ast.parse(text)) or ""
    elif path.suffix == ".sh":
        comment = "\n".join(line[1:] for line in text.split("\n")[1:] if line.startswith("#"))
        comment = comment.split(" -- ", 1)[-1]
    else:
        match = re.match(r"/\* [\w.]+ -- (.*?)\*/", text, re.DOTALL)
        comment = re.sub(r"\n \*", "\n", match[1]) if match else ""
    paragraph = comment.strip().split("\n\n")[0]
    return re.split(r"(?<=\.)(?:\s|$)", " ".join(paragraph.split()), maxsplit=1)[0]


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Names and lengths: a function's body ends with the first brace in column one."""
    start = None
    for number, line in enumerate(path.read_text().split("\n")):
        if (re.match(r"\w.*\) \{$|\s+.*\) \{$", line) and not line.startswith(" ")) or (
            start is None and re.match(r"^ {10,}.*\) \{$", line)
        ):
            start = number
        elif line == "}" and start is not None:
            yield path.read_text().split("\n")[start].strip(), number - start + 1
            start = None


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_says_first_what_it_is(path: Path) -> None:
    assert len(first_sentence(path)) > 20, f"{name_of(path)}: begin it with one sentence"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_design_lists_each_file_with_its_first_sentence(path: Path) -> None:
    row = f"| `{name_of(path)}` | {first_sentence(path)} |"
    assert row in (ROOT / "docs/design.md").read_text(), f"docs/design.md lacks the row\n{row}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_lines_stay_short(path: Path) -> None:
    lines = path.read_text().split("\n")
    limit = C_FILE_LINES if path in C else PYTHON_FILE_LINES
    assert len(lines) <= limit, f"{name_of(path)} has {len(lines)} lines: cut it by idea"
    long = [number + 1 for number, line in enumerate(lines) if len(line) > 100]
    assert not long, f"{name_of(path)}: lines {long} are longer than 100"


@pytest.mark.parametrize("path", C, ids=name_of)
def test_c_functions_stay_short(path: Path) -> None:
    for function, length in c_functions(path):
        assert length <= C_FUNCTION_LINES, f"{name_of(path)}: {function} has {length} lines"


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_functions_stay_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= PYTHON_FUNCTION_LINES, (
                f"{name_of(path)}: {node.name} has {length} lines"
            )


@pytest.mark.parametrize("path", C, ids=name_of)
def test_layers_point_one_way(path: Path) -> None:
    text, folder = path.read_text(), path.parent.name
    if folder != "binding":
        assert "Python.h" not in text, f"{name_of(path)}: only forkkv/binding/ knows Python"
    if folder == "shm":
        assert "sys/socket.h" not in text, f"{name_of(path)}: shm/ knows no sockets"
        assert '"resp.h"' not in text and '"connection.h"' not in text
    else:
        assert '"layout.h"' not in text, f"{name_of(path)}: offsets stay in shm/; use fkv.h"
        assert '"internal.h"' not in text, f"{name_of(path)}: shm/internal.h is shm's own"


def test_semaphores_are_only_in_lock_c() -> None:
    users = {name_of(path) for path in C if re.search(r"\bsem_\w+\(", path.read_text())}
    assert users == {"shm/lock.c"}


def test_an_operation_sleeps_only_where_it_gives_up_the_gil() -> None:
    waits = re.compile(r"\b(nanosleep|clock_nanosleep|usleep|pthread_mutex_lock\(&table)\b")
    users = {
        name_of(path) for path in C if path.parent.name == "shm" and waits.search(path.read_text())
    }
    assert users == {"shm/wait.c"}


def test_fork_is_only_in_the_masters_children() -> None:
    users = {name_of(path) for path in PYTHON if "os.fork(" in path.read_text()}
    users -= {"perf/proof/specimen.py"}  # a server of its own, to be looked at
    assert users == {"forkkv/children.py"}


def test_layout_has_no_pointers() -> None:
    code = re.sub(r"/\*.*?\*/", "", (ROOT / "shm/layout.h").read_text(), flags=re.DOTALL)
    assert not re.search(r"\w+ \*\w+;", code)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_is_left_for_later(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"TODO|FIXME|XXX", text), f"{name_of(path)}: do it, or say it in an issue"
    assert "except Exception: pass" not in text


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=name_of
)
def test_links_in_the_docs_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), f"{name_of(path)} links to {target}"

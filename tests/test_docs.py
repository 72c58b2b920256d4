"""The documents say what the code does: options, signals, commands, replies, sizes."""

import codecs
import re
import socket
from pathlib import Path

import pytest
from conftest import RunningServer

from forkkv.commands import TOP
from forkkv.config import option_names
from forkkv.master import Master
from forkkv.perf.top.columns import COLUMNS
from forkkv.perf.top.state import KEYS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def rows(page: str, header: str) -> list[list[str]]:
    """The cells of the table under the header row, which begins with `header`."""
    lines = (DOCS / page).read_text().split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(header)) + 2
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_every_option_of_serve_has_its_row() -> None:
    documented = [row[0].strip("`") for row in rows("operating.md", "| option |")]
    assert documented == ["--" + name.replace("_", "-") for name in option_names()]


def test_every_signal_of_the_master_has_its_row() -> None:
    documented = {
        name.strip().lower()
        for row in rows("operating.md", "| signal |")
        for name in row[0].split(",")
    }
    handled = {name.removeprefix("handle_") for name in dir(Master) if name.startswith("handle_")}
    assert documented == handled - {"signal", "chld"}  # a child's death, which nobody sends


def test_every_key_and_column_of_top_has_its_row() -> None:
    assert rows("operating.md", "| key |") == [list(row) for row in KEYS]
    expected = [[column.title, column.meaning] for column in COLUMNS]
    assert rows("operating.md", "| column |") == expected


def test_every_command_has_its_row() -> None:
    expected = []
    for command in sorted(TOP, key=lambda each: each.name):
        for each in (command, *command.subcommands):
            name = each.name.replace("|", " ").upper()
            expected.append([name, str(each.arity), each.summary.replace("|", "\\|")])
    assert rows("protocol.md", "| command |") == expected


def examples() -> list[tuple[bytes, bytes]]:
    """Request and reply of each pair in the `resp` blocks of the protocol's page."""
    found: list[tuple[bytes, bytes]] = []
    text = (DOCS / "protocol.md").read_text()
    for block in re.findall(r"```resp\n(.*?)```", text, re.DOTALL):
        for line in block.strip("\n").split("\n"):
            raw, _ = codecs.escape_decode(line[2:].encode())  # type: ignore[attr-defined]
            if line.startswith(">"):
                found.append((raw + b"\r\n", b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + raw + b"\r\n")
    return found


def receive(connection: socket.socket, size: int) -> bytes:
    reply = b""
    while len(reply) < size and (more := connection.recv(size - len(reply))):
        reply += more
    return reply


def test_the_examples_of_the_protocol_come_true(server: RunningServer) -> None:
    pairs = examples()
    assert len(pairs) >= 5
    with server.open_socket() as connection:
        for request, reply in pairs:
            connection.sendall(request)
            assert receive(connection, len(reply)) == reply, request


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readmes_commands_are_targets_of_the_makefile(target: str) -> None:
    assert f"make {target} " in (ROOT / "README.md").read_text()
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_shared_words_of_the_layout_are_in_the_table_of_words() -> None:
    layout = (ROOT / "shm/layout.h").read_text()
    documented = " ".join(row[0] for row in rows("memory.md", "| word |"))
    words = re.findall(r"_Atomic u?int\d+_t ([^;]+);", layout)
    names = {re.sub(r"\[.*?\]", "", name).strip() for line in words for name in line.split(",")}
    missing = sorted(name for name in names if name not in documented)
    assert not missing, f"docs/memory.md#words lacks {missing}"


def test_the_tests_that_the_reliability_page_names_are_there() -> None:
    named = set(
        re.findall(r"`((?:tests|shm)/[\w/]+\.(?:py|c))`", (DOCS / "reliability.md").read_text())
    )
    assert len(named) >= 15
    assert not [name for name in sorted(named) if not (ROOT / name).is_file()]


def test_the_functions_whose_barriers_the_reliability_page_names_are_there() -> None:
    core = "".join(path.read_text() for path in (ROOT / "shm").glob("*.[ch]"))
    for row in rows("reliability.md", "| barrier in C |"):
        for function in re.findall(r"`(\w+)`", row[0]):
            assert f"{function}(" in core, function


def test_every_target_that_the_docs_name_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in [*DOCS.glob("*.md"), ROOT / "README.md"]:
        for target in re.findall(r"`make ([\w-]+)", page.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"

"""What is not a whole table of one's own is refused, with a sentence that names the remedy.

Through every way in, and untouched: what is refused keeps its bytes.
"""

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import StartServer, still_running, wait_until

import forkkv
from forkkv import _core, objects

SIZE = 4 << 20
NOBODY = 65534
SIGNATURE_OFFSET, GEOMETRY_OFFSET = 8, 16
Spoil = Callable[[Path], object]


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def word(number: int) -> bytes:
    return struct.pack("<Q", number)


def size_of(path: Path) -> int:
    return path.stat().st_size


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name(path.name + ".elsewhere"))
    path.symlink_to(path.with_name(path.name + ".elsewhere"))


def replace_by(make: Spoil) -> Spoil:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


# What is done to the object of a table, and a part of the sentence that refuses it.
SPOILED: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda path: os.truncate(path, 0), "not a complete table"),
    "one page left": (lambda path: os.truncate(path, 4096), "truncated or overwritten"),
    "half left": (lambda path: os.truncate(path, size_of(path) // 2), "truncated or overwritten"),
    "one byte less": (lambda path: os.truncate(path, size_of(path) - 1), "truncated"),
    "one page more": (lambda path: os.truncate(path, size_of(path) + 4096), "does not fit"),
    "no magic": (lambda path: overwrite(path, 0, word(0)), "not a complete table"),
    "other magic": (lambda path: overwrite(path, 0, b"sqlite 3"), "not a complete table"),
    "other layout": (lambda path: overwrite(path, SIGNATURE_OFFSET, word(2)), "layout signature"),
    "32-bit words": (lambda path: overwrite(path, SIGNATURE_OFFSET, bytes(4)), "word size"),
    "other size": (lambda path: overwrite(path, GEOMETRY_OFFSET, word(1 << 40)), "does not fit"),
    "other limit": (lambda path: overwrite(path, GEOMETRY_OFFSET + 8, word(SIZE * 2)), "not fit"),
    "for the group": (lambda path: path.chmod(0o660), "must be 0600"),
    "for all to read": (lambda path: path.chmod(0o644), "must be 0600"),
    "a second name": (lambda path: path.with_name(path.name + ".too").hardlink_to(path), "2 names"),
    "a link to it": (replace_by_link, "link, which is not followed"),
    "a link to nothing": (replace_by(lambda path: path.symlink_to("gone")), "not followed"),
    "a pipe": (replace_by(os.mkfifo), "not a regular"),
    "a directory": (replace_by(os.mkdir), "is a directory"),
    "a socket": (replace_by(bind_socket), "no shared memory"),
}


def forkkv_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forkkv", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def remove(path: Path) -> None:
    """Everything that a test may have left under the name."""
    for each in path.parent.glob(path.name + "*"):
        if each.is_dir() and not each.is_symlink():
            each.rmdir()
        else:
            each.unlink()


def bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.fixture
def spoiled(request: pytest.FixtureRequest, table_name: str) -> object:
    """The path of a table's object after something was done to it; and gone at the end."""
    path = Path("/dev/shm", f"forkkv.{table_name}")
    with forkkv.attach(table_name, create=True, memory=SIZE) as table:
        table["kept"] = "value"
    request.param[0](path)
    yield path, request.param[1]
    remove(path)


every_kind = pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED, indirect=True)


@every_kind
def test_attach_refuses_it_and_leaves_it_alone(table_name: str, spoiled: tuple[Path, str]) -> None:
    path, sentence = spoiled
    before = bytes_of(path)
    with pytest.raises(_core.TableUnusable, match=sentence) as caught:
        forkkv.attach(table_name)
    assert table_name in str(caught.value)
    assert "unlink" in str(caught.value) or "remove" in str(caught.value)
    assert bytes_of(path) == before


@every_kind
def test_making_a_table_over_it_is_refused_unless_there_is_nothing_to_lose(
    table_name: str, spoiled: tuple[Path, str]
) -> None:
    path, _ = spoiled
    before = bytes_of(path)
    if before[:8] in (b"", bytes(8)) and path.is_file():  # as a creator that died leaves it
        forkkv.attach(table_name, create=True, memory=SIZE).close()
        assert len(bytes_of(path)) > SIZE
    else:
        with pytest.raises(_core.TableUnusable, match=table_name):
            forkkv.attach(table_name, create=True, memory=SIZE)
        assert bytes_of(path) == before


@pytest.mark.parametrize(
    "spoiled",
    [
        SPOILED[kind]
        for kind in ("half left", "other magic", "for the group", "a link to it", "a pipe")
    ],
    indirect=True,
)
def test_every_command_says_so_in_one_line_and_unlink_is_the_way_out(
    table_name: str, spoiled: tuple[Path, str], tmp_path: Path
) -> None:
    path, _ = spoiled
    unix = str(tmp_path / "socket")
    serve = ("serve", "--name", table_name, "--port", "0", "--unix", unix, "--workers", "1")
    for arguments in (serve, ("stats", "--name", table_name), ("check", table_name)):
        done = forkkv_command(*arguments)
        assert done.returncode != 0, arguments
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1 and table_name in lines[0], done.stderr
        assert "Traceback" not in done.stderr
    assert forkkv_command("unlink", table_name).returncode == 0
    assert not path.exists() and not path.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give an object to another user")
def test_root_looks_at_a_users_table_but_serves_and_makes_none_in_it(table_name: str) -> None:
    path = Path("/dev/shm", f"forkkv.{table_name}")
    with forkkv.attach(table_name, create=True, memory=SIZE):
        os.chown(path, NOBODY, NOBODY)
        with forkkv.attach(table_name) as table:
            table["key"] = "value"
        with pytest.raises(_core.TableUnusable, match=f"belongs to user {NOBODY}"):
            objects.open_table(table_name, role=_core.MASTER)
        os.truncate(path, 0)
        with pytest.raises(_core.TableUnusable, match=f"belongs to user {NOBODY}"):
            forkkv.attach(table_name, create=True, memory=SIZE)
    path.unlink()


def test_what_is_left_by_a_crash_is_no_reason_to_refuse(table_name: str) -> None:
    child = os.fork()
    if child == 0:
        table = forkkv.attach(table_name, create=True, memory=SIZE)
        table["key"] = "value"
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with forkkv.attach(table_name) as table:
        assert table["key"] == b"value"


def test_a_server_whose_object_is_truncated_says_so_and_ends(start_server: StartServer) -> None:
    server = start_server("--workers", "2")
    family = server.family()
    os.truncate(f"/dev/shm/forkkv.{server.name}", 4096)
    wait_until(lambda: server.process.poll() is not None, "the server to end")
    assert server.process.returncode == 1
    assert f"truncated the object of table '{server.name}'" in server.log
    assert f"forkkv unlink {server.name}" in server.log
    wait_until(lambda: not still_running(family), "its processes to end")
    objects.unlink(server.name)


def test_a_truncated_table_can_be_closed(table_name: str) -> None:
    table = forkkv.attach(table_name, create=True, memory=SIZE)
    assert table.truncated() is False
    os.truncate(f"/dev/shm/forkkv.{table_name}", 4096)
    assert table.truncated() is True
    table.close()
    objects.unlink(table_name)

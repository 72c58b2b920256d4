"""Commands from a pipe and from a person: what is printed, remembered and said when it breaks."""

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import CLIENT, RedisServer, Terminal, redis_server, scripted_server, wait_until

from forkkv.clients.connection import Connection, ConnectionFailed
from forkkv.clients.prompt import Shell


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "state" / "forkkv" / "history"


@pytest.fixture
def terminal(redis: RedisServer, tmp_path: Path) -> Iterator[Terminal]:
    """A client at its first prompt, on a terminal."""
    command = [*CLIENT, "--url", redis.url]
    with Terminal(command, XDG_STATE_HOME=str(tmp_path / "state")) as terminal:
        terminal.expect("redis.sock> ")
        yield terminal


def run_lines(url: str, text: bytes, raw: bool = True) -> Shell:
    shell = Shell(Connection(url), raw)
    shell.run_lines(io.BytesIO(text))
    shell.connection.close()
    return shell


def test_lines_are_commands_and_blanks_and_comments_are_not(
    redis: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    shell = run_lines(redis.url, b"# greet\n\nSET g 'hello there'\n  # and look\nGET g\nGET no")
    assert capfd.readouterr().out == "OK\nhello there\n\n"
    assert shell.connection.calls.write == 3
    assert not shell.failed


def test_replies_can_be_formatted_for_people(
    redis: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    run_lines(redis.url, b"INCR n\nMGET n no\nSTRLEN n", raw=False)
    assert capfd.readouterr().out == '(integer) 1\n1) "1"\n2) (nil)\n(integer) 1\n'


@pytest.mark.parametrize("word", [b"quit", b"EXIT"])
def test_quit_ends_without_asking_the_server(
    redis: RedisServer, capfd: pytest.CaptureFixture[str], word: bytes
) -> None:
    shell = run_lines(redis.url, b"PING\n" + word + b"\nPING\n")
    assert capfd.readouterr().out == "PONG\n"
    assert shell.connection.calls.write == 1


def test_an_error_reply_and_a_bad_line_are_failures_and_the_next_line_runs(
    redis: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_lines(redis.url, b"NONSENSE\nPING\n").failed
    assert run_lines(redis.url, b'GET "open\nPING\n').failed
    printed = capfd.readouterr()
    assert printed.out.splitlines()[1:] == ["PONG", "PONG"]
    assert "close each quote" in printed.err


def test_a_lost_connection_is_told_and_made_again_at_the_next_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer_one(peer: socket.socket) -> None:
        peer.recv(100)
        peer.send(b"+PONG\r\n")
        peer.recv(100)

    with scripted_server(tmp_path, answer_one) as url:
        shell = run_lines(url, b"PING\nPING\nPING\n")
    printed = capfd.readouterr()
    assert printed.out == "PONG\nPONG\n"
    assert "closed the connection" in printed.err
    assert shell.failed
    assert shell.connection.calls.connect == 2


def test_a_chosen_database_is_chosen_again_after_a_break(
    redis: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    run_lines(redis.url, b"SELECT 3\nSET k there\nCLIENT KILL TYPE normal SKIPME no\nGET k\nGET k")
    assert capfd.readouterr().out.splitlines()[-1] == "there"


def test_no_server_ends_the_lines_at_the_first(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        run_lines(f"unix://{tmp_path}/none.sock", b"PING\nPING\n")


def test_a_person_gets_formatted_replies_and_leaves_with_ctrl_d(terminal: Terminal) -> None:
    terminal.press("INCR n\n")
    terminal.expect("(integer) 1\r\n")
    terminal.press("SELECT 2\n")
    terminal.expect("redis.sock[2]> ")
    terminal.press("help\n")
    terminal.expect("Ctrl-D")
    terminal.expect("redis.sock[2]> ")
    terminal.press("\x04")
    assert terminal.wait() == 0


def test_ctrl_c_drops_the_line_and_stays(terminal: Terminal) -> None:
    terminal.press("NONSENSE")
    terminal.expect("NONSENSE")
    terminal.press("\x03\n")  # readline may notice the signal no sooner than the next key
    terminal.press("PING\n")
    assert "(error)" not in terminal.expect("PONG\r\n")
    terminal.press("exit\n")
    assert terminal.wait() == 0


def test_ctrl_c_gives_up_a_reply_and_the_next_command_gets_its_own(
    terminal: Terminal, redis: RedisServer
) -> None:
    terminal.press("BLPOP never 0\n")
    wait_until(lambda: b"blocked_clients:1" in redis.cli("INFO", "clients"))
    terminal.press("\x03")
    terminal.expect("interrupted")
    terminal.expect("not connected> ")
    terminal.press("ECHO mine\n")
    terminal.expect('"mine"\r\n')


def test_a_server_that_went_is_told_and_found_again(
    terminal: Terminal, redis: RedisServer, tmp_path: Path
) -> None:
    redis.stop()
    terminal.press("PING\n")
    terminal.expect("Error: ")
    terminal.expect("not connected> ")
    terminal.press("PING\n")
    terminal.expect("forkkv serve --unix")
    (tmp_path / "redis.sock").unlink(missing_ok=True)
    with redis_server(tmp_path):
        terminal.press("PING\n")
        terminal.expect("PONG\r\n")
        terminal.expect("redis.sock> ")


def test_history_is_kept_for_its_owner_from_one_prompt_to_the_next(
    terminal: Terminal, redis: RedisServer, history: Path, tmp_path: Path
) -> None:
    terminal.press("ECHO remembered\n")
    terminal.expect('"remembered"\r\n')
    terminal.press("exit\n")
    assert terminal.wait() == 0
    assert "ECHO remembered" in history.read_text().splitlines()
    assert history.stat().st_mode & 0o077 == 0
    command = [*CLIENT, "--url", redis.url]
    with Terminal(command, XDG_STATE_HOME=str(tmp_path / "state")) as again:
        again.expect("redis.sock> ")
        again.press("\x10\x10\n")  # Ctrl-P twice: before `exit`
        again.expect('"remembered"\r\n')


def test_a_history_that_cannot_be_kept_is_told(redis: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [*CLIENT, "--url", redis.url]
    with Terminal(command, XDG_STATE_HOME=str(tmp_path / "file")) as terminal:
        terminal.expect("history is not kept")
        terminal.press("PING\n")
        terminal.expect("PONG\r\n")

"""What the client tests talk to: a Redis server, a server that follows a script, and a terminal."""

import contextlib
import functools
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from programs import needs

DEADLINE = 20.0  # seconds; only ever reached by a failure

CLIENT = [
    sys.executable,
    "-c",
    "from forkkv.clients.command import client; client(prog_name='forkkv client')",
]


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail when it does not in time."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE} s in vain"
        time.sleep(0.01)


class RedisServer:
    """A redis-server on a unix socket of its own, up when the constructor returns."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "redis.sock"
        self.url = f"unix://{self.path}"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", ""],
            cwd=directory,
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: self.cli("PING") == b"PONG\n")

    def cli(self, *arguments: str, terminal: bool = False) -> bytes:
        """What redis-cli prints for a command, on a terminal or in a pipe."""
        environment = os.environ | ({"FAKETTY": "1"} if terminal else {})
        command = ["redis-cli", "-s", str(self.path), *arguments]
        return subprocess.run(command, capture_output=True, env=environment).stdout

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)


@contextlib.contextmanager
def redis_server(directory: Path) -> Iterator[RedisServer]:
    """A Redis server for the block; the test is skipped where Redis is not installed."""
    needs("redis-server", "redis-cli")
    server = RedisServer(directory)
    try:
        yield server
    finally:
        server.stop()


Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def scripted_server(directory: Path, script: Script) -> Iterator[str]:
    """The URL of a server that runs `script` with each connection, one after another."""
    path = directory / "scripted.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):  # the end: the listener is shut down
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(ConnectionError):
                    script(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE)
        listener.close()


class Terminal:
    """A process on a pseudo-terminal, and the person in front of it."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self._fd, slave = pty.openpty()
        termios.tcsetwinsize(slave, (25, 200))
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"TERM": "dumb"} | environment,
            pass_fds=(slave,),
            preexec_fn=functools.partial(os.login_tty, slave),  # so that Ctrl-C is a signal
        )
        os.close(slave)
        self._unread = ""

    def press(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> str:
        """Wait until `text` is shown; returns what is new up to and with it."""
        end = time.monotonic() + DEADLINE
        while text not in self._unread:
            ready, _, _ = select.select([self._fd], [], [], end - time.monotonic())
            try:
                new = os.read(self._fd, 4096) if ready else b""
            except OSError:  # the process has ended
                new = b""
            assert new, f"no {text!r} after {self._unread[-500:]!r}"
            self._unread += new.decode()
        shown, _, self._unread = self._unread.partition(text)
        return shown + text

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        os.close(self._fd)

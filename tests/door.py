"""A network door in the test's own process: a Server that is ticked whenever somebody waits."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hiredis
from conftest import DEADLINE

from forkkv import _core, objects

MEMORY = 16 << 20


def pack(*words: bytes | str | int) -> bytes:
    """A request as clients send it."""
    arguments = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    parts = [b"$%d\r\n%s\r\n" % (len(each), each) for each in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


class Peer:
    """A client's socket; `wait` is called while there is nothing to read."""

    def __init__(self, connected: socket.socket, wait: Callable[[], None]) -> None:
        self.socket = connected
        self.socket.setblocking(False)
        self.wait = wait

    def send(self, request: bytes) -> None:
        """Sends all of it, however often the other side has to read meanwhile."""
        end = time.monotonic() + DEADLINE
        left = memoryview(request)
        while left:
            assert time.monotonic() < end, "the request is not read"
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                self.wait()

    def read(self) -> bytes:
        """What comes next; nothing at the end of the connection."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                return self.socket.recv(1 << 20)
            self.wait()
        raise AssertionError("no reply")

    def replies(self, count: int) -> bytes:
        """The next replies, as they came."""
        reader = hiredis.Reader()
        received = b""
        while count:
            part = self.read()
            assert part, f"closed after {received!r}"
            received += part
            reader.feed(part)
            while reader.gets() is not False:
                count -= 1
        return received

    def call(self, *words: bytes | str | int) -> bytes:
        """The reply to one command."""
        self.send(pack(*words))
        return self.replies(1)

    def until_closed(self) -> bytes:
        """Everything up to the end of the connection."""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := self.read():
                received += part
        return received

    def close(self) -> None:
        self.socket.close()


class Door:
    """Accepts at once, and answers commands outside the hot table by `answers`."""

    def __init__(self, name: str, limits: _core.Limits | None = None, memory: int = MEMORY) -> None:
        self.table = objects.create(name, memory, _core.WORKER)
        self.server = _core.Server(self.table, limits)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.server.listen(self.listener.fileno())
        self.answers: Callable[[list[bytes]], bytes | None] = lambda argv: b"+" + argv[0] + b"\r\n"
        self.connections: list[int] = []
        self.closed: list[bytes] = []
        self.peers: list[Peer] = []

    def tick(self) -> None:
        """One pass of what a worker does."""
        for kind, number, details in self.server.tick(10):
            if kind == "accept":
                accepted = self.server.accept(number)
                if accepted is not None:
                    self.connections.append(accepted[0])
            elif kind == "command":
                answer = self.answers(details)
                if answer is not None:
                    self.server.answer(number, answer)
            else:
                self.connections.remove(number)
                self.closed += details

    def connect(self) -> Peer:
        """A connection that was accepted."""
        before = len(self.connections)
        peer = Peer(socket.create_connection(self.listener.getsockname()), self.tick)
        self.peers.append(peer)
        self.wait_until(lambda: len(self.connections) > before)
        return peer

    def wait_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.tick()

    def counts(self) -> dict[str, int]:
        """This process's own counters."""
        (own,) = self.table.participants()
        return own["counts"]

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.server.shutdown()
        self.table.close()
        self.listener.close()


@contextlib.contextmanager
def open_door(name: str, limits: _core.Limits | None = None) -> Iterator[Door]:
    """A door for the block; its table is left for the check that every test ends with."""
    door = Door(name, limits)
    try:
        yield door
    finally:
        door.close()


def connect_unix(path: Path) -> Peer:
    """A peer of a server in another process."""
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(str(path))
    return Peer(connected, lambda: time.sleep(0.001))

"""The socket client: one write(2) and one read(2) per command, every system call counted.

Made to be watched, so it does nothing that was not asked for: no health checks, no timers, no
background thread. It uses read and write, not recv and send, because those are the calls that
people look for in a trace. hiredis packs the commands and parses the replies.

A Connection belongs to one thread. A reply larger than its read buffer takes more reads. Replies
are matched to commands by their order alone, so pushed messages (RESP3) have no place here.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, cast

import hiredis
from hiredis import ReplyError

from .address import DEFAULT_URL, Address

READ_BYTES = 64 * 1024

Argument = str | bytes | int | float
Reply = bytes | int | float | None | ReplyError | list["Reply"] | dict["Reply", "Reply"]

# hiredis's own stub declares a tuple of one element.
pack = cast(Callable[[tuple[Argument, ...]], bytes], hiredis.pack_command)

_INCOMPLETE = object()


class ConnectionFailed(ConnectionError):
    """No connection could be made; the message names the address and the next step."""


class ConnectionLost(ConnectionError):
    """An open connection ended, or there was none; nothing is known of unanswered commands."""


class Status(bytes):
    """A status reply such as OK: on the wire, and to redis-cli, not the same as a value OK."""


@dataclass(slots=True)
class SystemCalls:
    """How often each system call was made on the socket, failed calls included."""

    write: int = 0
    read: int = 0
    connect: int = 0
    close: int = 0


class Connection:
    """A connection to a forkkv or Redis server, opened by open() and kept until it breaks.

    `name` is given to the server with CLIENT SETNAME; None sends no such command.
    `timeout_seconds` bounds each single system call; None waits for ever.
    `read_bytes` is what each read asks for, 1 or more: a larger reply takes more reads.
    `calls` counts the system calls over all openings of this object, `setup_commands` the
    commands that open() sent. `database` is selected by open().
    """

    def __init__(
        self,
        address: Address | str = DEFAULT_URL,
        name: str | None = None,
        timeout_seconds: float | None = None,
        read_bytes: int = READ_BYTES,
    ) -> None:
        self.address = Address.parse(address) if isinstance(address, str) else address
        self.name = name
        self.database = self.address.database
        self.timeout_seconds = timeout_seconds
        self.read_bytes = read_bytes
        self.calls = SystemCalls()
        self.setup_commands = 0
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._socket: socket.socket | None = None
        self._fd = -1

    @property
    def is_open(self) -> bool:
        """Whether open() succeeded and nothing has closed the connection since."""
        return self._socket is not None

    def open(self) -> None:
        """Connect, give the name, select the database.

        Raises ConnectionFailed, or ConnectionLost when the server leaves in between.
        """
        self._socket = self._connect()
        self._fd = self._socket.fileno()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        if self.name is not None:
            self._set_up("CLIENT", "SETNAME", self.name)
        if self.database:
            self._set_up("SELECT", self.database)

    def close(self) -> None:
        """Close the socket; closing twice is harmless."""
        if self._socket is not None:
            self.calls.close += 1
            self._socket.close()
            self._socket = None
            self._fd = -1

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 while there is none."""
        return self._fd

    def command(self, name: Argument, *arguments: Argument) -> Reply:
        """Send one command and return its reply. Raises ConnectionLost.

        An error reply is returned, as a ReplyError; a status reply is returned as a Status.
        """
        self.send(pack((name, *arguments)))
        first = self._read()
        self._reader.feed(first)
        reply = self.receive()
        if self._reader.has_data():
            self.close()
            raise ConnectionLost(f"{self.address} sent more than the reply that was asked for")
        return Status(reply) if first[:1] == b"+" and isinstance(reply, bytes) else reply

    def pipeline(self, commands: Iterable[tuple[Argument, ...]]) -> list[Reply]:
        """Send all commands in one write and return their replies. Raises ConnectionLost.

        Nothing is read before all is written, so the replies must fit the server's and the
        kernel's buffers: keep a pipeline to some thousand commands.
        """
        packed = [pack(command) for command in commands]
        self.send(b"".join(packed))
        return [self.receive() for _ in packed]

    def send(self, data: bytes) -> None:
        """Write packed bytes, in one write(2) if the kernel takes all. Raises ConnectionLost."""
        if self._fd < 0:
            raise ConnectionLost(f"not connected to {self.address}: call open()")
        while data:
            self.calls.write += 1
            try:
                written = os.write(self._fd, data)
            except OSError as error:
                self._lose(error)
            data = data[written:]

    def receive(self) -> Reply:
        """Return the next reply, reading only while it is incomplete. Raises ConnectionLost."""
        try:
            while (reply := self._reader.gets()) is _INCOMPLETE:
                self._reader.feed(self._read())
        except hiredis.ProtocolError as error:
            self.close()
            raise ConnectionLost(f"{self.address} is no Redis protocol server: {error}") from None
        return cast(Reply, reply)

    def _read(self) -> bytes:
        self.calls.read += 1
        try:
            data = os.read(self._fd, self.read_bytes)
        except OSError as error:
            self._lose(error)
        if not data:
            self.close()
            raise ConnectionLost(f"the server at {self.address} closed the connection")
        return data

    def _lose(self, error: OSError) -> NoReturn:
        self.close()
        if isinstance(error, BlockingIOError):
            reason = f"no answer within {self.timeout_seconds} s"
        else:
            reason = str(error.strerror)
        raise ConnectionLost(f"lost the connection to {self.address}: {reason}") from error

    def _connect(self) -> socket.socket:
        """Return a connected socket: one connect(2) for each target until one answers."""
        self.close()
        try:
            targets = self.address.targets()
        except OSError as error:
            raise ConnectionFailed(f"cannot look up {self.address.host}: {error}") from error
        failure = OSError("no address")
        for family, target in targets:
            candidate = socket.socket(family, socket.SOCK_STREAM)
            self._set_options(candidate)
            self.calls.connect += 1
            try:
                candidate.connect(target)
            except OSError as error:
                self.calls.close += 1
                candidate.close()
                failure = error
            else:
                return candidate
        raise ConnectionFailed(
            f"cannot connect to {self.address}: {failure.strerror or failure}; "
            f"start a server there with `{self.address.serve_command()}`"
        ) from failure

    def _set_options(self, candidate: socket.socket) -> None:
        if candidate.family != socket.AF_UNIX:
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.timeout_seconds is not None:
            # Kernel timeouts: Python's own would add a poll(2) to every call.
            seconds, part = divmod(self.timeout_seconds, 1)
            limit = struct.pack("ll", int(seconds), int(part * 1e6))
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def _set_up(self, name: str, *arguments: Argument) -> None:
        self.setup_commands += 1
        reply = self.command(name, *arguments)
        if isinstance(reply, ReplyError):
            self.close()
            raise ConnectionFailed(f"{self.address} refused {name}: {reply}")

    def __enter__(self) -> Connection:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

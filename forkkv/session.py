"""What a command that Python answers can see: its worker (Context) and its connection (Client)."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from forkkv._core import Server, Table
from forkkv.config import WORKERS_MAX, Config


@dataclass(frozen=True)
class Identity:
    """One life of a server, the same in all its processes."""

    master_pid: int
    run_id: str
    started: float  # monotonic, which is the same for all processes of a host


@dataclass
class Client:
    """One connection of this worker."""

    connection: int  # the number that Server knows it by; used again after it closed
    id: int
    since: float = field(default_factory=time.monotonic)
    name: bytes = b""
    library: bytes = b""
    library_version: bytes = b""


@dataclass
class Context:
    """One worker, as its commands see it."""

    config: Config
    identity: Identity
    table: Table
    server: Server
    index: int
    command_names: Sequence[str]  # of the rows of the per-command counters
    clients: dict[int, Client] = field(default_factory=dict)
    accepted: int = 0

    def welcome(self, connection: int) -> Client:
        """A client for a new connection. Its id is no other living connection's, in any worker."""
        self.accepted += 1
        client = Client(connection, self.accepted * WORKERS_MAX + self.index)
        self.clients[connection] = client
        return client

    def table_of(self, client: Client) -> Table:
        """The table, at the client's database."""
        self.table.database = self.server.database(client.connection)
        return self.table


def addresses(fd: int) -> tuple[str, str]:
    """The far and the near address of a connected socket, as CLIENT LIST writes them."""
    connection = socket.socket(fileno=fd)
    try:
        if connection.family == socket.AF_UNIX:
            path = str(connection.getsockname())
            return f"{path}:0", f"{path}:0"
        return _joined(connection.getpeername()), _joined(connection.getsockname())
    except OSError:  # gone already; its close is on the way
        return "?:0", "?:0"
    finally:
        connection.detach()  # the descriptor is the Server's


def _joined(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""The second table: for each kind of system call, what a high count means and what helps.

A row is marked when one of its situations was found (perf/rules.py); `quantity` is what this run
measured for it, so that the reader can compare.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Bottleneck:
    """One row. `quantity` is measured over the whole server, or over the clients."""

    calls: str
    quantity: str
    of: str  # server or clients
    high: str
    state: str
    fix: str
    situations: tuple[str, ...]

    def marked_by(self, situation: str, roles: set[str]) -> bool:
        """Whether this row is about a situation that processes of these roles are in.

        Where the server and its clients have a row each for it, only their own is.
        """
        if situation not in self.situations:
            return False
        if len({row.of for row in BOTTLENECKS if situation in row.situations}) == 1:
            return True
        return "client" in roles if self.of == "clients" else bool(roles - {"client"})


BOTTLENECKS: Final = (
    Bottleneck(
        "read, recvfrom",
        "data_reads_per_command",
        "server",
        "more than 1.1 per command",
        "Commands arrive in pieces: small buffers, or clients that write in parts",
        "Larger buffers; one write per command in the client",
        ("small-reads",),
    ),
    Bottleneck(
        "read, recvfrom (clients)",
        "client_reads_per_server_write",
        "clients",
        "more than 2 for each write of the server",
        "Replies are taken in pieces: a small buffer in the client",
        "Ask for more in one read",
        ("small-reads",),
    ),
    Bottleneck(
        "read, recvfrom (failed)",
        "failed_read_share",
        "server",
        "more than 20% find nothing",
        "Reading until EAGAIN, or waking without data",
        "Read again only if the last read filled the buffer",
        ("eagain-storm",),
    ),
    Bottleneck(
        "read and write",
        "reads_per_command",
        "server",
        "about 1 per command, at more than 1,000 commands/s",
        "A round trip for every command: the network sets the pace",
        "Pipelining; MGET and MSET",
        ("shallow-pipeline", "chatty", "request-heavy-client"),
    ),
    Bottleneck(
        "write, sendto",
        "writes_per_command",
        "server",
        "more than 1.1 per command",
        "Replies leave in pieces, or one by one within a batch",
        "Gather: one write or writev per batch",
        ("small-writes",),
    ),
    Bottleneck(
        "write, sendto (clients)",
        "commands_per_client_write",
        "clients",
        "less than 0.5 commands per write",
        "Requests leave in pieces: each costs the server a read, and perhaps a wait",
        "Build the request, then write it once; TCP_NODELAY alone makes it worse",
        ("small-writes",),
    ),
    Bottleneck(
        "write, sendto (partial)",
        "partial_write_share",
        "server",
        "more than 5% send only a part",
        "A client reads more slowly than it asks",
        "Let it read while it writes; limit its reply buffer",
        ("slow-reader",),
    ),
    Bottleneck(
        "accept, accept4",
        "accepts_per_command",
        "server",
        "more than 0.2 per command",
        "A new connection for almost every command",
        "Connection pool, keep-alive; a longer backlog",
        ("connection-churn",),
    ),
    Bottleneck(
        "accept, accept4 (failed)",
        "failed_accept_share",
        "server",
        "more than 40% in vain",
        "Thundering herd: many workers wake for one connection",
        "EPOLLEXCLUSIVE, SO_REUSEPORT, or fewer workers",
        ("thundering-herd",),
    ),
    Bottleneck(
        "accept, accept4 (shares)",
        "accept_imbalance",
        "server",
        "the busiest worker takes more than 1.3 x the mean",
        "Some workers are crowded while others wait",
        "Rebalance, or connect anew; as many workers as cores",
        ("unfair-accept", "hot-worker"),
    ),
    Bottleneck(
        "close",
        "closes_per_accept",
        "server",
        "about as many as accepts; or many more",
        "Connections are short-lived; or other descriptors come and go. Fewer closes than accepts, "
        "and the gap grows: a leak of descriptors",
        "Pool connections; keep files open",
        ("connection-churn", "descriptor-churn"),
    ),
    Bottleneck(
        "openat",
        "opens_per_command",
        "server",
        "more than 0.1 per command",
        "Files are opened and closed for each request",
        "Keep files open; cache what was read",
        ("descriptor-churn",),
    ),
    Bottleneck(
        "connect (clients)",
        "connects_per_write",
        "clients",
        "more than 0.3 per request",
        "A connection per request, or attempts that fail again and again",
        "Keep connections; wait longer after each failure",
        ("many-connects",),
    ),
    Bottleneck(
        "poll, select (clients)",
        "polls_per_write",
        "clients",
        "2 per request",
        "Every send and receive is preceded by a poll (a socket timeout in Python)",
        "A blocking socket, or accept the cost",
        ("double-calls",),
    ),
    Bottleneck(
        "epoll_wait",
        "vain_polls_per_command",
        "server",
        "more than 0.5 per command without a read or an accept after it",
        "Wakes more often than there is work",
        "Longer timeouts; handle all ready connections per wake-up",
        ("spinning",),
    ),
    Bottleneck(
        "epoll_ctl",
        "rewatches_per_command",
        "server",
        "more than 0.1 per command, besides three per connection",
        "Descriptors are added and removed again and again",
        "Change the set only when the interest changes for good",
        ("rewatching",),
    ),
    Bottleneck(
        "futex",
        "futexes_per_command",
        "server",
        "more than 0.1 per command",
        "Lock contention: a free lock needs no call. With little CPU time: its holder is stopped",
        "Spread hot keys; shorter holds; continue or kill who was stopped",
        ("lock-contention", "stopped-holder"),
    ),
    Bottleneck(
        "fsync, fdatasync",
        "fsyncs_per_write",
        "server",
        "more than 0.1 per write",
        "Every write waits for the disk",
        "Group commit; a weaker durability; a faster disk",
        ("frequent-fsync",),
    ),
    Bottleneck(
        "clone, wait4 (master)",
        "forks",
        "server",
        "any in the window",
        "Workers die and are replaced",
        "Read the server's log",
        ("respawn-loop", "worker-replaced"),
    ),
    Bottleneck(
        "io_uring_enter",
        "rings",
        "server",
        "any",
        "Reads and writes are hidden from these counts",
        "Count completions instead",
        ("blind",),
    ),
)

"""A small prefork server with a flaw on request, for the lab to find.

Usage: specimen.py PORT WORKERS FLAW. It answers each line with one line. Without a flaw it does as
a good server does: one worker wakes for a connection, goes to the end of the queue after it, reads
once, and writes the reply at once.

    none    no flaw
    herd    every worker wakes for every connection
    greedy  the first worker takes whatever comes, as it never goes to the end of the queue
    drain   reads until there is nothing left to read
    pieces  writes a reply in five pieces
    files   opens and closes a file for each request
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final, NoReturn

REPLY: Final = b"+a reply of five words\r\n"
PIECES: Final = (b"+a", b" reply", b" of five", b" words", b"\r\n")
FLAWS: Final = ("none", "herd", "greedy", "drain", "pieces", "files")


class Worker:
    """One worker: an epoll of the listener and of its connections."""

    def __init__(self, listener: socket.socket, flaw: str) -> None:
        self.listener, self.flaw = listener, flaw
        self.poller = select.epoll()
        self.answer: Callable[[int], None] = self.in_pieces if flaw == "pieces" else self.at_once

    def serve(self) -> NoReturn:
        """Serves until it is killed."""
        self.watch()
        while True:
            for descriptor, _ in self.poller.poll():
                if descriptor == self.listener.fileno():
                    self.accept()
                else:
                    self.read(descriptor)

    def watch(self) -> None:
        """Comes to the listener, at the end of the queue."""
        exclusive = 0 if self.flaw == "herd" else select.EPOLLEXCLUSIVE
        self.poller.register(self.listener.fileno(), select.EPOLLIN | exclusive)

    def accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.poller.register(connection.detach(), select.EPOLLIN)
        if self.flaw not in ("herd", "greedy"):
            self.poller.unregister(self.listener.fileno())
            self.watch()

    def read(self, descriptor: int) -> None:
        data = os.read(descriptor, 4096)
        more = data
        while more and self.flaw == "drain":
            try:
                more = os.read(descriptor, 4096)
            except BlockingIOError:
                break
        if not data:
            os.close(descriptor)
            return
        if self.flaw == "files":
            os.close(os.open(os.devnull, os.O_RDONLY))
        self.answer(descriptor)

    def at_once(self, descriptor: int) -> None:
        os.write(descriptor, REPLY)

    def in_pieces(self, descriptor: int) -> None:
        for piece in PIECES:
            os.write(descriptor, piece)


def main(port: int, workers: int, flaw: str) -> None:
    """Forks the workers and waits; ends them with itself."""
    if flaw not in FLAWS:
        raise SystemExit(f"no flaw {flaw!r}; there are {', '.join(FLAWS)}")
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    listener.setblocking(False)
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            Worker(listener, flaw).serve()
        children.append(child)
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

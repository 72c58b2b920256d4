"""A worker in miniature for the tests of the lab: echoes, and counts its own calls as forkkv does.

Its counters lie in a mapped file, so that publishing them takes no system call.
Usage: mini_server.py COUNTERS PORT_FILE
"""

import mmap
import os
import select
import socket
import struct
import sys
from pathlib import Path

CALLS = ("read", "write", "accept4", "close", "epoll_wait", "epoll_ctl")


class Counters:
    """One 64-bit number per call."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8 * len(CALLS))

    def add(self, call: str) -> None:
        place = 8 * CALLS.index(call)
        (value,) = struct.unpack_from("q", self.memory, place)
        struct.pack_into("q", self.memory, place, value + 1)


def read_counters(path: Path) -> dict[str, int]:
    """What the server in that file has counted."""
    return dict(zip(CALLS, struct.unpack(f"{len(CALLS)}q", path.read_bytes()), strict=True))


def serve(listener: socket.socket, counters: Counters) -> None:
    """Echoes for ever. A call is counted before it is made, as perf counts it when it begins."""
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    while True:
        counters.add("epoll_wait")
        for descriptor, _ in poller.poll():
            if descriptor == listener.fileno():
                counters.add("accept4")
                connection, _ = listener.accept()
                counters.add("epoll_ctl")
                poller.register(connection.detach(), select.EPOLLIN)
                continue
            counters.add("read")
            if data := os.read(descriptor, 65536):
                counters.add("write")
                os.write(descriptor, data)
            else:
                counters.add("close")
                os.close(descriptor)


def main(counters_file: str, port_file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        draft = Path(port_file + ".new")
        draft.write_text(str(listener.getsockname()[1]))
        counters = Counters(Path(counters_file))
        draft.rename(port_file)
        serve(listener, counters)


if __name__ == "__main__":
    main(*sys.argv[1:])

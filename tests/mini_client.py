"""A client in miniature with a known number of calls: mini_client.py PORT CONNECTS WRITES.

It sends PING as an inline command, which an echo server answers as well as forkkv does.
"""

import os
import socket
import sys


def main(port: int, connects: int, writes: int) -> None:
    """Spreads the requests over the connections, one after another; waits for each answer."""
    for number in range(connects):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for _ in range(number, writes, connects):
                os.write(connection.fileno(), b"PING\r\n")
                os.read(connection.fileno(), 64)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Commands from a person or a pipe: run each over one connection and print its reply."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from hiredis import ReplyError

from .connection import Connection, ConnectionFailed, ConnectionLost, Reply
from .text import format_reply, raw_reply, split_line

HELP = """\
Type a command and its arguments: SET key value, GET key, INCR key, DEL key, TTL key, INFO.
Quote as in redis-cli: "two words", "a\\nb\\x00", 'as it is'.
Up and Ctrl-R search the history; quit, exit or Ctrl-D leave."""


class Shell:
    """Runs commands over `connection`, which is opened again at the command after a break.

    `raw` prints replies for programs instead of for people. `failed` turns true with the first
    command that got an error reply, or none.
    """

    def __init__(self, connection: Connection, raw: bool) -> None:
        self.connection = connection
        self.raw = raw
        self.failed = False

    def run(self, arguments: list[bytes]) -> None:
        """Send one command and print its reply. Raises ConnectionFailed, ConnectionLost."""
        try:
            if not self.connection.is_open:
                self.connection.open()
            reply = self.connection.command(*arguments)
        except ConnectionError:
            self.failed = True
            raise
        if isinstance(reply, ReplyError):
            self.failed = True
        self._follow_database(arguments, reply)
        self._print(reply)

    def run_lines(self, lines: Iterable[bytes]) -> None:
        """Run a command a line, until `quit`; blank lines and # comments are skipped.

        A lost connection is told on standard error and opened again at the next line. Replies
        reach a pipe when its buffer is full or at the end, as with any Unix filter, so that the
        writes of this process are those of its commands. Raises ConnectionFailed.
        """
        for line in lines:
            if line.lstrip().startswith(b"#"):
                continue
            try:
                arguments = split_line(line)
                if is_farewell(arguments):
                    return
                if arguments:
                    self.run(arguments)
            except (ConnectionLost, ValueError) as error:
                self.failed = True
                print(f"Error: {error}", file=sys.stderr)

    def run_prompt(self) -> None:
        """Ask for commands until quit, exit or Ctrl-D. Raises ConnectionFailed at the start."""
        from .history import kept_history  # readline touches the terminal as it is imported

        self.connection.open()
        with kept_history():
            while self._converse():
                pass

    def _converse(self) -> bool:
        """Take one line and answer it; False when the person leaves."""
        try:
            line = os.fsencode(input(self._prompt()))
            if is_farewell(line.split()):
                return False
            self._answer(line)
        except EOFError:
            print()
            return False
        except ConnectionFailed as error:
            print(f"Error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print()
        return True

    def _answer(self, line: bytes) -> None:
        if line.strip().lower() in (b"help", b"?"):
            print(HELP)
            return
        try:
            self.run_lines([line])
        except KeyboardInterrupt:
            # The reply is still to come, and would be taken for that of the next command.
            self.connection.close()
            print("\ninterrupted: the connection was closed before its reply came")

    def _prompt(self) -> str:
        if not self.connection.is_open:
            return "not connected> "
        database = self.connection.database
        return f"{self.connection.address}{f'[{database}]' if database else ''}> "

    def _follow_database(self, arguments: list[bytes], reply: Reply) -> None:
        """Remember a SELECT, so that opening again comes back to the same database."""
        if arguments[0].upper() == b"SELECT" and reply == b"OK":
            self.connection.database = int(arguments[1])

    def _print(self, reply: Reply) -> None:
        text = raw_reply(reply) if self.raw else format_reply(reply).encode()
        sys.stdout.buffer.write(text + b"\n")
        if sys.stdout.line_buffering:  # a terminal
            sys.stdout.flush()


def is_farewell(arguments: list[bytes]) -> bool:
    """Whether a line is `quit` or `exit`, which leave without asking the server."""
    return len(arguments) == 1 and arguments[0].lower() in (b"quit", b"exit")

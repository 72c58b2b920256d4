"""The two doors of a table as the writers of a storm use them: each method takes key and argument.

The methods are named like the steps of linear.py. A group is some keys that are only ever set
together, and is read as one value.
"""

import time
from typing import Any

from history import Refused
from linear import Reply

import forkkv
from forkkv.clients.connection import Connection, ConnectionFailed, ConnectionLost, ReplyError

GROUP = 32  # keys of a group: the more, the longer is the moment in which it could be torn
TINY = 100  # keys stored at a time to make the index grow
TINY_DATABASE = 3
PATIENCE_SECONDS = 0.005  # between attempts to connect while no server listens


def members(key: str) -> list[str]:
    """The keys of a group."""
    return [f"{key}.{i}" for i in range(GROUP)]


def one_value(values: list[bytes | None]) -> Reply:
    """The value of a group. A torn group has one that nobody stored."""
    return text(values[0]) if len(set(values)) == 1 else f"torn: {values}"


def tiny_keys(first: str) -> list[str]:
    """Many new keys."""
    return [f"{first}.{i}" for i in range(TINY)]


def letters(argument: str) -> str:
    """The large value that "a3000" stands for: one letter again and again."""
    return argument[0] * int(argument[1:])


def is_whole(value: bytes | None) -> bool:
    """Whether a value is one that letters() made."""
    return not value or value == value[:1] * len(value)


def text(value: bytes | None) -> str | None:
    """A value as histories hold it."""
    return None if value is None else value.decode()


class Local:
    """The local door: an attached table."""

    def __init__(self, name: str) -> None:
        self.table = forkkv.attach(name)
        self.tiny = forkkv.attach(name, database=TINY_DATABASE)

    def open(self) -> None:
        """Nothing: a table is open as long as its process lives."""

    def close(self) -> None:
        self.table.close()
        self.tiny.close()

    def get(self, key: str, argument: str = "") -> Reply:
        return text(self.table.get(key))

    def set(self, key: str, argument: str) -> Reply:
        return self.table.set(key, argument)

    def getset(self, key: str, argument: str) -> Reply:
        return text(self.table.get_set(key, argument))

    def setnx(self, key: str, argument: str) -> Reply:
        return self.table.set(key, argument, nx=True)

    def delete(self, key: str, argument: str = "") -> Reply:
        return self.table.delete(key)

    def incr(self, key: str, argument: str = "") -> Reply:
        return self.table.incr(key)

    def append(self, key: str, argument: str) -> Reply:
        return self.table.append(key, argument)

    def set_group(self, key: str, argument: str) -> Reply:
        self.table.set_many([(member, argument) for member in members(key)])
        return True

    def get_group(self, key: str, argument: str = "") -> Reply:
        return one_value(self.table.get_many(members(key)))

    def set_large(self, key: str, argument: str) -> Reply:
        return self.table.set(key, letters(argument))

    def get_large(self, key: str, argument: str = "") -> Reply:
        return is_whole(self.table.get(key))

    def fill(self, key: str, argument: str) -> Reply:
        self.tiny.set_many([(each, "v") for each in tiny_keys(argument)])
        return True

    def clear(self, key: str, argument: str = "") -> Reply:
        self.tiny.clear()
        return True


class Network:
    """The network door: a connection to a server, opened again by open() when it broke."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(url)
        self.open()

    def open(self) -> None:
        """Returns once a server has let it in."""
        while not self.connection.is_open:
            try:
                self.connection.open()
            except (ConnectionFailed, ConnectionLost):
                time.sleep(PATIENCE_SECONDS)

    def close(self) -> None:
        self.connection.close()

    def get(self, key: str, argument: str = "") -> Reply:
        return text(self._ask("GET", key))

    def set(self, key: str, argument: str) -> Reply:
        return bool(self._ask("SET", key, argument) == b"OK")

    def getset(self, key: str, argument: str) -> Reply:
        return text(self._ask("GETSET", key, argument))

    def setnx(self, key: str, argument: str) -> Reply:
        return self._ask("SET", key, argument, "NX") is not None

    def delete(self, key: str, argument: str = "") -> Reply:
        return bool(self._ask("DEL", key))

    def incr(self, key: str, argument: str = "") -> Reply:
        return int(self._ask("INCR", key))

    def append(self, key: str, argument: str) -> Reply:
        return int(self._ask("APPEND", key, argument))

    def set_group(self, key: str, argument: str) -> Reply:
        pairs = [word for member in members(key) for word in (member, argument)]
        return bool(self._ask("MSET", *pairs) == b"OK")

    def get_group(self, key: str, argument: str = "") -> Reply:
        return one_value(self._ask("MGET", *members(key)))

    def set_large(self, key: str, argument: str) -> Reply:
        return bool(self._ask("SET", key, letters(argument)) == b"OK")

    def get_large(self, key: str, argument: str = "") -> Reply:
        return is_whole(self._ask("GET", key))

    def fill(self, key: str, argument: str) -> Reply:
        pairs = [word for each in tiny_keys(argument) for word in (each, "v")]
        return self._ask_elsewhere("MSET", *pairs)

    def clear(self, key: str, argument: str = "") -> Reply:
        return self._ask_elsewhere("FLUSHDB")

    def _ask(self, *words: str) -> Any:
        return _accepted(self.connection.command(*words))

    def _ask_elsewhere(self, *words: str) -> Reply:
        commands = [("SELECT", TINY_DATABASE), words, ("SELECT", 0)]
        return bool(_accepted(self.connection.pipeline(commands)[1]) == b"OK")


def _accepted(reply: Any) -> Any:
    """The reply, unless it is an error. Raises Refused; other errors have no business here."""
    if isinstance(reply, ReplyError):
        raise Refused(str(reply)) if str(reply).startswith(("OOM", "BUSY")) else reply
    return reply


Door = Local | Network

"""Where a server listens: a URL turned into an address, and an address into socket targets."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DEFAULT_URL = "forkkv://127.0.0.1:6390"
DEFAULT_PORTS = {"forkkv": 6390, "redis": 6379}
FORMS = "write forkkv://HOST:PORT[/DB], redis://HOST:PORT[/DB] or unix:///PATH[?db=N]"

Target = tuple[socket.AddressFamily, tuple[object, ...] | str]


class BadAddress(ValueError):
    """The URL is not one that this client understands; the message gives the forms."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address (host and port) or a unix socket (path), and the database to select."""

    host: str = ""
    port: int = 0
    path: str = ""
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> Address:
        """Return the address that `url` names. Raises BadAddress."""
        try:
            parts = urlsplit(url)
            if parts.scheme == "unix":
                return cls._parse_unix(parts)
            if parts.scheme in DEFAULT_PORTS:
                return cls._parse_tcp(parts)
        except ValueError as error:
            raise BadAddress(f"{url!r}: {error}; {FORMS}") from None
        raise BadAddress(f"{url!r} is no address of a server; {FORMS}")

    @classmethod
    def _parse_unix(cls, parts: SplitResult) -> Address:
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
        if parts.netloc or not parts.path.strip("/") or set(query) - {"db"}:
            raise ValueError("a unix socket is an absolute path, with nothing but ?db=N after it")
        return cls(path=unquote(parts.path), database=_database(query.get("db", ["0"])[-1]))

    @classmethod
    def _parse_tcp(cls, parts: SplitResult) -> Address:
        if not parts.hostname:
            raise ValueError("no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("user names and passwords are not supported")
        if parts.query or parts.fragment:
            raise ValueError("the database comes after a slash, and nothing after it")
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.hostname, port, database=_database(parts.path.removeprefix("/") or "0"))

    def targets(self) -> list[Target]:
        """Return what to hand to connect(2), best first. Raises socket.gaierror.

        A numeric host has one target. Looking up a name may cost system calls of the C
        library's own, connect(2) among them.
        """
        if self.path:
            return [(socket.AF_UNIX, self.path)]
        host = self.host.encode()  # for str, Python would first read its IDNA tables from disk
        found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
        return [(family, target) for family, _, _, _, target in found]

    def serve_command(self) -> str:
        """Return the shell command that starts a server at this address."""
        if self.path:
            return f"forkkv serve --unix {self.path}"
        return "forkkv serve" if self.port == 6390 else f"forkkv serve --port {self.port}"

    def __str__(self) -> str:
        if self.path:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _database(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no database number")
    return int(text)

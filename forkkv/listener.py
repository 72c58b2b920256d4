"""The listening sockets: one for TCP, one for a unix path, shared by all workers."""

import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

from forkkv.config import Config
from forkkv.errors import ServeError
from forkkv.log import get_log

KEEPALIVE_SECONDS = 300
PROBE_SECONDS = 1.0


def open_listeners(config: Config) -> list[socket.socket]:
    """Binds what the configuration asks for; nothing stays bound when one of them fails.

    Raises ServeError that names the address and how to choose another.
    """
    listeners: list[socket.socket] = []
    try:
        if config.port:
            listeners.append(_listen_tcp(config))
        if config.unix is not None:
            listeners.append(_listen_unix(config.unix, config.unix_mode, config.backlog))
    except BaseException:
        close_listeners(listeners)
        raise
    return listeners


def close_listeners(listeners: list[socket.socket]) -> None:
    """Closes and forgets them all; the path of a unix socket is removed."""
    for listener in listeners:
        if listener.family == socket.AF_UNIX:
            Path(listener.getsockname()).unlink(missing_ok=True)
        listener.close()
    listeners.clear()


def _listen_tcp(config: Config) -> socket.socket:
    try:
        found = socket.getaddrinfo(config.bind, config.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ServeError(
            f"cannot listen on {config.bind}: {error.strerror}; give --bind an address of this host"
        ) from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Linux hands these on to every accepted socket, which saves a system call for each.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        _warn_if_public(listener)
        return _start(listener, config.backlog)
    except OSError as error:
        listener.close()
        raise _tcp_failure(config, error) from None


def _warn_if_public(listener: socket.socket) -> None:
    host = listener.getsockname()[0]
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        get_log("master").warning("%s can be reached by other hosts; there is no password", host)


def _tcp_failure(config: Config, error: OSError) -> ServeError:
    where = f"{config.bind} port {config.port}"
    if error.errno == errno.EADDRINUSE:
        advice = "another process listens there; stop it, or choose another with --port"
    elif error.errno == errno.EACCES:
        advice = "ports below 1024 are reserved; choose another with --port"
    else:
        advice = "give --bind an address of this host"
    return ServeError(f"cannot listen on {where}: {error.strerror}; {advice}")


def _listen_unix(path: str, mode: int, backlog: int) -> socket.socket:
    _remove_dead_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~mode)  # so that it is never open to more, not even at first
    try:
        listener.bind(path)
        return _start(listener, backlog)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ServeError(
            f"cannot listen on {path}: {reason}; choose another path with --unix"
        ) from None
    finally:
        os.umask(umask)


def _start(listener: socket.socket, backlog: int) -> socket.socket:
    listener.setblocking(False)
    listener.listen(backlog)
    return listener


def _remove_dead_socket(path: str) -> None:
    """Removes a socket that nobody listens on any more; leaves anything else, with an error."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return  # nothing there, or bind() will say what is wrong
    if not is_socket:
        raise ServeError(f"{path} exists and is not a socket; choose another path with --unix")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except OSError:
            pass  # a full backlog: somebody has it
    raise ServeError(
        f"another process listens on {path}; stop it, or choose another path with --unix"
    )

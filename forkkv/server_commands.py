"""The commands about the server: CONFIG, INFO, ROLE and TIME."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from forkkv._core import POLICIES
from forkkv._core import Error as TableError
from forkkv.config import Config
from forkkv.info import info_text
from forkkv.pattern import compile_pattern
from forkkv.reply import OK, Error, Reply, Verbatim, quoted
from forkkv.session import Client, Context

if TYPE_CHECKING:
    from forkkv._core import Facts


def time_now(context: Context, client: Client, args: list[bytes]) -> Reply:
    """TIME: seconds and microseconds since the epoch."""
    microseconds = time.time_ns() // 1000
    return [str(microseconds // 1_000_000), str(microseconds % 1_000_000)]


def role(context: Context, client: Client, args: list[bytes]) -> Reply:
    """ROLE: there is no replication."""
    return ["master", 0, []]


def info(context: Context, client: Client, args: list[bytes]) -> Reply:
    """INFO [section ...]."""
    return Verbatim(info_text(context, [each.decode(errors="replace").lower() for each in args]))


def config_get(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CONFIG GET pattern ...: the parameters under the names of redis.conf."""
    found: dict[str, Reply] = {}
    parameters = _parameters(context.config, context.table.facts())
    for pattern in args:
        fits = compile_pattern(pattern, ignore_case=True).fullmatch
        found |= {name: value for name, value in parameters.items() if fits(name.encode())}
    return found


def _parameters(config: Config, facts: Facts) -> dict[str, str]:
    return {
        "appendonly": "no",
        "bind": config.bind,
        "client-output-buffer-limit": f"normal {config.reply_buffer} 0 0",
        "client-query-buffer-limit": str(config.query_buffer),
        "databases": "16",
        "io-threads": str(config.workers),
        "maxclients": str(config.maxclients),
        "maxmemory": str(facts["memory_limit_bytes"]),
        "maxmemory-policy": facts["policy"],
        "notify-keyspace-events": "",
        "port": str(config.port),
        "proto-max-bulk-len": str(config.bulk_length),
        "save": "",
        "slowlog-log-slower-than": "-1",
        "slowlog-max-len": "0",
        "tcp-backlog": str(config.backlog),
        "tcp-keepalive": "300",
        "timeout": "0",
        "unixsocket": config.unix or "",
        "unixsocketperm": f"{config.unix_mode:o}" if config.unix else "0",
    }


def config_set(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CONFIG SET: the policy can be changed while the server runs, for all processes at once."""
    if len(args) % 2:
        return Error("ERR wrong number of arguments for 'config|set' command")
    known = _parameters(context.config, context.table.facts())
    given = {name.decode(errors="replace"): value for name, value in _pairs(args)}
    for name in given:
        if name.lower() not in known:
            return Error(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
    for name in given:
        if name.lower() != "maxmemory-policy":
            return _config_set_failed(
                name, "can't set immutable config; start the server with the option instead"
            )
    return _set_policy(context, *given.popitem())


def _pairs(args: list[bytes]) -> zip[tuple[bytes, bytes]]:
    return zip(args[::2], args[1::2], strict=True)


def _config_set_failed(name: str, why: str) -> Error:
    where = quoted(name.encode())
    return Error(f"ERR CONFIG SET failed (possibly related to argument '{where}') - {why}")


def _set_policy(context: Context, name: str, value: bytes) -> Reply:
    policy = value.decode(errors="replace").lower()
    if policy not in POLICIES:
        return _config_set_failed(
            name, f"argument must be one of the following: {', '.join(POLICIES)}"
        )
    try:
        context.table.set_policy(policy)
    except TableError as error:
        return _config_set_failed(name, str(error))
    return OK


def config_resetstat(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CONFIG RESETSTAT: each process writes its own counters, so no worker can reset them all."""
    return Error("ERR CONFIG RESETSTAT is not possible; counters start again with their process")


def config_rewrite(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CONFIG REWRITE: options come from the command line and the environment."""
    return Error("ERR The server is running without a config file")

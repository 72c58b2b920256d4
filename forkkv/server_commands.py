"""The commands about the server: CONFIG, INFO, ROLE and TIME."""

import time

from forkkv.config import Config
from forkkv.info import info_text
from forkkv.pattern import compile_pattern
from forkkv.reply import Error, Reply, Verbatim, quoted
from forkkv.session import Client, Context


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
    parameters = _parameters(context.config, context.table.facts()["memory_limit_bytes"])
    for pattern in args:
        fits = compile_pattern(pattern, ignore_case=True).fullmatch
        found |= {name: value for name, value in parameters.items() if fits(name.encode())}
    return found


def _parameters(config: Config, memory_limit: int) -> dict[str, str]:
    return {
        "appendonly": "no",
        "bind": config.bind,
        "client-output-buffer-limit": f"normal {config.reply_buffer} 0 0",
        "client-query-buffer-limit": str(config.query_buffer),
        "databases": "16",
        "io-threads": str(config.workers),
        "maxclients": str(config.maxclients),
        "maxmemory": str(memory_limit),
        "maxmemory-policy": "noeviction",
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
    """CONFIG SET: nothing can be changed while the server runs."""
    if len(args) % 2:
        return Error("ERR wrong number of arguments for 'config|set' command")
    for name in args[::2]:
        text = name.decode(errors="replace")
        if name.lower().decode(errors="replace") not in _parameters(context.config, 0):
            return Error(f"ERR Unknown option or number of arguments for CONFIG SET - '{text}'")
    return Error(
        f"ERR CONFIG SET failed (possibly related to argument '{quoted(args[0])}') - "
        "can't set immutable config; start the server with the option instead"
    )


def config_resetstat(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CONFIG RESETSTAT: each process writes its own counters, so no worker can reset them all."""
    return Error("ERR CONFIG RESETSTAT is not possible; counters start again with their process")


def config_rewrite(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CONFIG REWRITE: options come from the command line and the environment."""
    return Error("ERR The server is running without a config file")

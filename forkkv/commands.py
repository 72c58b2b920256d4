"""The commands that Python answers: one table, to find, check and document them by."""

import logging
import time
from collections.abc import Generator

from forkkv import connection_commands as connection
from forkkv import keyspace_commands as keyspace
from forkkv import memory_commands as memory
from forkkv import server_commands as server
from forkkv._core import HOT_COMMANDS, TableBusy, TableFull
from forkkv._core import Error as TableError
from forkkv.catalog import Command, Run, Steps, describe, document, help_lines
from forkkv.pattern import compile_pattern
from forkkv.reply import QUOTED_MAX, SYNTAX_ERROR, Error, Reply, encode, quoted
from forkkv.session import Client, Context


def command(context: Context, client: Client, args: list[bytes]) -> Reply:
    """COMMAND: every command."""
    return [describe(each) for each in TOP]


def command_count(context: Context, client: Client, args: list[bytes]) -> Reply:
    """COMMAND COUNT."""
    return len(TOP)


def command_info(context: Context, client: Client, args: list[bytes]) -> Reply:
    """COMMAND INFO [name ...]: nil for a name that is not a command."""
    if not args:
        return [describe(each) for each in TOP]
    found = [EVERY.get(name.lower()) for name in args]
    return [None if each is None else describe(each) for each in found]


def command_docs(context: Context, client: Client, args: list[bytes]) -> Reply:
    """COMMAND DOCS [name ...]: names that are no command are left out."""
    rows = [EVERY.get(name.lower()) for name in args] if args else TOP
    return {each.name: document(each) for each in rows if each is not None}


def command_list(context: Context, client: Client, args: list[bytes]) -> Reply:
    """COMMAND LIST [FILTERBY PATTERN pattern | FILTERBY ACLCAT category | FILTERBY MODULE name]."""
    if not args:
        return [each.name for each in EVERY.values()]
    if len(args) != 3 or args[0].upper() != b"FILTERBY":
        return SYNTAX_ERROR
    kind, value = args[1].upper(), args[2]
    if kind == b"PATTERN":
        fits = compile_pattern(value, ignore_case=True).fullmatch
        return [each.name for name, each in EVERY.items() if fits(name)]
    if kind == b"ACLCAT":
        category = "@" + value.decode(errors="replace").lower()
        return [each.name for each in EVERY.values() if category in each.categories]
    return [] if kind == b"MODULE" else SYNTAX_ERROR


def help_of(container: bytes) -> Run:
    """HELP of a command that has subcommands."""
    return lambda context, client, args: help_lines(EVERY[container])


STALE = "noscript loading stale"
FAST = STALE + " fast"
ADMIN = "admin " + STALE
C = Command

CLIENT = (
    C("client|getname", 2, connection.get_name, STALE, "connection", "Returns my name."),
    C("client|help", 2, help_of(b"client"), STALE, "connection", "Prints this help."),
    C("client|id", 2, connection.client_id, STALE, "connection", "Returns my id."),
    C("client|info", 2, connection.client_info, STALE, "connection", "Describes me."),
    C("client|list", -2, connection.client_list, ADMIN, "connection", "This worker's clients."),
    C("client|no-evict", 3, connection.switch, ADMIN, "connection", "Accepted: always so."),
    C("client|no-touch", 3, connection.switch, STALE, "connection", "Accepted: always so."),
    C("client|setinfo", 4, connection.set_info, STALE, "connection", "Sets my library."),
    C("client|setname", 3, connection.set_name, STALE, "connection", "Sets my name."),
)
COMMAND = (
    C("command|count", 2, command_count, "loading stale", summary="Counts the commands."),
    C("command|docs", -2, command_docs, "loading stale", summary="Documents commands."),
    C("command|help", 2, help_of(b"command"), "loading stale", summary="Prints this help."),
    C("command|info", -2, command_info, "loading stale", summary="Describes commands."),
    C("command|list", -2, command_list, "loading stale", summary="Names commands."),
)
CONFIG = (
    C("config|get", -3, server.config_get, ADMIN, summary="Returns parameters."),
    C("config|help", 2, help_of(b"config"), "loading stale", summary="Prints this help."),
    C("config|resetstat", 2, server.config_resetstat, ADMIN, summary="Not possible here."),
    C("config|rewrite", 2, server.config_rewrite, ADMIN, summary="Not possible here."),
    C("config|set", -4, server.config_set, ADMIN, summary="Not possible here."),
)
KEY = (2, 2, 1)  # a subcommand's
MEMORY = (
    C("memory|doctor", 2, memory.memory_doctor, summary="What is wrong, and what to do."),
    C("memory|help", 2, help_of(b"memory"), "loading stale", summary="Prints this help."),
    C("memory|purge", 2, memory.memory_purge, summary="Gives memory back to the kernel."),
    C("memory|stats", 2, memory.memory_stats, summary="What the memory is used for."),
    C("memory|usage", -3, memory.memory_usage, "readonly", summary="Bytes a key takes.", keys=KEY),
)
OBJECT = (
    C("object|encoding", 3, memory.object_encoding, "readonly", "generic", "Always raw.", KEY),
    C("object|freq", 3, memory.object_freq, "readonly", "generic", "How often it is used.", KEY),
    C("object|help", 2, help_of(b"object"), "loading stale", "generic", "Prints this help."),
    C("object|idletime", 3, memory.object_idletime, "readonly", "generic", "Not tracked.", KEY),
    C("object|refcount", 3, memory.object_refcount, "readonly", "generic", "Always 1.", KEY),
)
ADMIN_COMMANDS = (
    C("auth", -2, connection.auth, FAST + " no_auth", "connection", "Authenticates."),
    C("client", -2, None, "", "connection", "About connections.", subcommands=CLIENT),
    C("command", -1, command, "loading stale", summary="All commands.", subcommands=COMMAND),
    C("config", -2, None, "", summary="About parameters.", subcommands=CONFIG),
    C("dbsize", 1, keyspace.dbsize, "readonly fast", summary="Counts a database's keys."),
    C("flushall", -1, keyspace.flushall, "write", summary="Removes every key."),
    C("flushdb", -1, keyspace.flushdb, "write", summary="Removes a database's keys."),
    C("hello", -1, connection.hello, FAST + " no_auth", "connection", "Shakes hands."),
    C("info", -1, server.info, "loading stale", summary="Facts and figures."),
    C("keys", 2, keyspace.keys, "readonly", "generic", "The keys that match a pattern."),
    C("memory", -2, None, "", summary="About memory.", subcommands=MEMORY),
    C("object", -2, None, "", "generic", "About single keys.", subcommands=OBJECT),
    C("reset", 1, connection.reset, FAST + " no_auth", "connection", "Resets the connection."),
    C("role", 1, server.role, FAST, summary="The part in replication: none."),
    C("scan", -2, keyspace.scan, "readonly", "generic", "Walks the keys in steps."),
    C("time", 1, server.time_now, "loading stale fast", summary="The server's clock."),
)
GENERIC = ("del", "exists", "persist", "type", "unlink", "ttl", "pttl")  # and all *expire*


def _hot_command(row: tuple[str, int, str, int, int, int, str]) -> Command:
    name, arity, flags, first, last, step, summary = row
    name = name.lower()
    generic = name in GENERIC or "expire" in name
    group = "generic" if generic else "string" if first else "connection"
    return Command(name, arity, None, flags, group, summary, (first, last, step))


TOP = (*(_hot_command(row) for row in HOT_COMMANDS), *ADMIN_COMMANDS)
EVERY = {each.name.encode(): each for row in TOP for each in (row, *row.subcommands)}

# Rows of the per-command counters: the hot commands, as C counts them, then those that run here.
COUNTED = [row[0].lower() for row in HOT_COMMANDS]
COUNTED += [each.name for each in EVERY.values() if each.run]
ROWS = {name: row for row, name in enumerate(COUNTED)}


Answer = Generator[None, None, bytes]


def answer(context: Context, client: Client, argv: list[bytes]) -> Answer:
    """Runs in the worker: returns the reply to a command that C handed over, as bytes, and stops on
    the way where others may be served. Never raises."""
    started = time.perf_counter_ns()
    found = find(argv)
    value = found if isinstance(found, Error) else (yield from _run(found, context, client, argv))
    if not isinstance(found, Error):
        spent = time.perf_counter_ns() - started
        context.table.count_command(ROWS[found.name], spent, isinstance(value, Error))
    return encode(value, context.server.protocol(client.connection))


def find(argv: list[bytes]) -> Command | Error:
    """The row for a request, or the error that says what is wrong with its name or its length."""
    name = argv[0].lower()
    found = EVERY.get(name) if b"|" not in name else None
    if found is None:
        return _unknown_command(argv)
    if found.subcommands and len(argv) > 1:
        container = found.name.upper()
        found = EVERY.get(b"%s|%s" % (name, argv[1].lower()))
        if found is None:
            return Error(f"ERR unknown subcommand '{quoted(argv[1])}'. Try {container} HELP.")
    if not found.accepts(len(argv)):
        return Error(f"ERR wrong number of arguments for '{found.name}' command")
    return found


def _run(row: Command, context: Context, client: Client, argv: list[bytes]) -> Steps:
    assert row.run is not None, f"{row.name} belongs to C"
    try:
        value = row.run(context, client, argv[2:] if "|" in row.name else argv[1:])
        return (yield from value) if isinstance(value, Generator) else value
    except Error as error:
        return error
    except TableFull:
        return Error("OOM command not allowed when used memory > 'maxmemory'.")
    except TableBusy as error:
        return Error(f"BUSY {error}")
    except TableError as error:
        return Error(f"ERR {error}")
    except Exception:  # a fault of ours must not take the worker's other connections with it
        logging.getLogger("worker").exception("%s failed", row.name)
        return Error("ERR internal error; the server's log has the details")


def _unknown_command(argv: list[bytes]) -> Error:
    shown = ""
    for each in argv[1:]:
        if len(shown) >= QUOTED_MAX:
            break
        shown += f"'{quoted(each, QUOTED_MAX - len(shown))}' "
    return Error(f"ERR unknown command '{quoted(argv[0])}', with args beginning with: {shown}")

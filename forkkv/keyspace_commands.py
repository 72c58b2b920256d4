"""The commands about all keys of a database: DBSIZE, KEYS, SCAN, FLUSHDB and FLUSHALL."""

import time
from collections.abc import Generator, Iterator

from forkkv._core import ALL_DATABASES
from forkkv.pattern import compile_pattern
from forkkv.reply import NOT_AN_INTEGER, OK, SYNTAX_ERROR, Error, Reply
from forkkv.session import Client, Context

SCAN_COUNT = 10  # keys per call when the client does not say
PIECE_SECONDS = 0.001  # of a long command, between two looks at the other connections
WALK_COUNT = 1000  # keys per step of KEYS, between two signs of life
CURSOR_MAX = (1 << 64) - 1


def dbsize(context: Context, client: Client, args: list[bytes]) -> Generator[None, None, Reply]:
    """DBSIZE. When very many keys have just expired each has to be looked at."""
    database = context.server.database(client.connection)
    keys, at = context.table.count_some(database, 0)
    end = time.monotonic() + PIECE_SECONDS
    while at:
        if time.monotonic() >= end:
            yield
            end = time.monotonic() + PIECE_SECONDS
        some, at = context.table.count_some(database, at)
        keys += some
    return keys


def flushdb(context: Context, client: Client, args: list[bytes]) -> Reply:
    """FLUSHDB [ASYNC|SYNC]: one step either way, so the word makes no difference."""
    return _flush(context, context.server.database(client.connection), args)


def flushall(context: Context, client: Client, args: list[bytes]) -> Reply:
    """FLUSHALL [ASYNC|SYNC]."""
    return _flush(context, ALL_DATABASES, args)


def _flush(context: Context, database: int, args: list[bytes]) -> Reply:
    if len(args) > 1 or (args and args[0].upper() not in (b"ASYNC", b"SYNC")):
        return SYNTAX_ERROR
    context.table.clear(database)
    return OK


def keys(context: Context, client: Client, args: list[bytes]) -> Reply:
    """KEYS pattern. The worker serves nobody else meanwhile, as in Redis."""
    fits = compile_pattern(args[0]).fullmatch
    return [key for key in dict.fromkeys(_walk(context, client)) if fits(key)]


def _walk(context: Context, client: Client) -> Iterator[bytes]:
    """Every key at least once; more than once when the table grows meanwhile."""
    cursor, found = context.table_of(client).scan(0, WALK_COUNT)
    yield from found
    while cursor:
        context.table.heartbeat()
        cursor, found = context.table.scan(cursor, WALK_COUNT)
        yield from found


def scan(context: Context, client: Client, args: list[bytes]) -> Reply:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]. Every value is a string."""
    cursor = whole_number(args[0])
    if cursor is None or not 0 <= cursor <= CURSOR_MAX:
        return Error("ERR invalid cursor")
    options = _scan_options(args[1:])
    if isinstance(options, Error):
        return options
    count = whole_number(options.get(b"COUNT", b"%d" % SCAN_COUNT))
    if count is None:
        return NOT_AN_INTEGER
    if count < 1:
        return SYNTAX_ERROR
    cursor, found = context.table_of(client).scan(cursor, count)
    if b"MATCH" in options:
        fits = compile_pattern(options[b"MATCH"]).fullmatch
        found = [key for key in found if fits(key)]
    if options.get(b"TYPE", b"string").lower() != b"string":
        found = []
    return [str(cursor), list(found)]


def _scan_options(args: list[bytes]) -> dict[bytes, bytes] | Error:
    if len(args) % 2:
        return SYNTAX_ERROR
    options = {name.upper(): value for name, value in zip(args[::2], args[1::2], strict=True)}
    return options if options.keys() <= {b"MATCH", b"COUNT", b"TYPE"} else SYNTAX_ERROR


def whole_number(text: bytes) -> int | None:
    """A decimal integer of 64 bits as Redis reads one: no spaces, no plus, no leading zeros."""
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 20 or b"%d" % int(text) != text:
        return None
    return int(text)

"""The commands about the connection itself: HELLO, AUTH, RESET and CLIENT."""

import contextlib
import time

from forkkv import __version__
from forkkv.reply import OK, SYNTAX_ERROR, Error, Reply, Status, Verbatim, quoted
from forkkv.session import Client, Context, addresses

WRONG_PASSWORD = Error("WRONGPASS invalid username-password pair or user is disabled.")
NO_PASSWORD_SET = Error(
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
NAME_ERROR = "ERR {} cannot contain spaces, newlines or special characters."


def hello(context: Context, client: Client, args: list[bytes]) -> Reply:
    """HELLO [2|3 [AUTH user password] [SETNAME name]]: all of it, or nothing changes."""
    version = 0
    name = None
    if args:
        if not args[0].isdigit():
            return Error("ERR Protocol version is not an integer or out of range")
        version = int(args[0])
        if version not in (2, 3):
            return Error("NOPROTO unsupported protocol version")
    options = list(args[1:])
    while options:
        word = options.pop(0)
        if word.upper() == b"AUTH" and len(options) >= 2:
            if options.pop(0) != b"default":
                return WRONG_PASSWORD
            options.pop(0)  # the default user has no password, so any will do, as in Redis
        elif word.upper() == b"SETNAME" and options:
            name = options.pop(0)
            if not _is_plain(name):
                return Error(NAME_ERROR.format("Client names"))
        else:
            return Error(f"ERR Syntax error in HELLO option '{quoted(word)}'")
    client.name = client.name if name is None else name
    return _greeting(client, context.server.protocol(client.connection, version))


def _greeting(client: Client, protocol: int) -> Reply:
    facts: dict[str, Reply] = {
        "server": "forkkv",
        "version": __version__,
        "proto": protocol,
        "id": client.id,
        "mode": "standalone",
        "role": "master",
        "modules": [],
    }
    return facts


def auth(context: Context, client: Client, args: list[bytes]) -> Reply:
    """AUTH password | AUTH user password: there is one user, default, and it has no password."""
    if len(args) > 2:
        return SYNTAX_ERROR
    if len(args) == 1:
        return NO_PASSWORD_SET
    return OK if args[0] == b"default" else WRONG_PASSWORD


def reset(context: Context, client: Client, args: list[bytes]) -> Reply:
    """RESET: as if the connection had just been made."""
    context.server.protocol(client.connection, 2)
    context.server.database(client.connection, 0)
    client.name = b""
    return Status("RESET")


def client_id(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT ID."""
    return client.id


def set_name(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT SETNAME name; an empty one removes it."""
    if not _is_plain(args[0]):
        return Error(NAME_ERROR.format("Client names"))
    client.name = args[0]
    return OK


def get_name(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT GETNAME."""
    return client.name or None


def set_info(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT SETINFO LIB-NAME|LIB-VER value."""
    option, value = args[0].lower(), args[1]
    if option not in (b"lib-name", b"lib-ver"):
        return Error(f"ERR Unrecognized option '{quoted(args[0])}'")
    if not _is_plain(value):
        return Error(NAME_ERROR.format(option.decode()))
    if option == b"lib-name":
        client.library = value
    else:
        client.library_version = value
    return OK


def switch(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT NO-EVICT and NO-TOUCH ON|OFF: true already, connections are never evicted here."""
    return OK if args[0].upper() in (b"ON", b"OFF") else SYNTAX_ERROR


def client_info(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT INFO: this connection, as CLIENT LIST shows it."""
    return Verbatim(_describe(context, client) + "\n")


def client_list(context: Context, client: Client, args: list[bytes]) -> Reply:
    """CLIENT LIST [TYPE type] [ID id ...]: the connections of this worker only.

    Workers do not tell each other about their connections; INFO counts those of all workers.
    """
    chosen = list(context.clients.values())
    if args and args[0].upper() == b"TYPE" and len(args) == 2:
        kind = args[1].lower()
        if kind not in (b"normal", b"master", b"replica", b"slave", b"pubsub"):
            return Error(f"ERR Unknown client type '{quoted(args[1])}'")
        chosen = chosen if kind == b"normal" else []
    elif args and args[0].upper() == b"ID" and len(args) > 1:
        if not all(each.isdigit() for each in args[1:]):
            return Error("ERR Invalid client ID")
        wanted = {int(each) for each in args[1:]}
        chosen = [each for each in chosen if each.id in wanted]
    elif args:
        return SYNTAX_ERROR
    lines = []
    for each in chosen:
        with contextlib.suppress(KeyError):  # it is gone, and its event still to come
            lines.append(_describe(context, each) + "\n")
    return Verbatim("".join(lines))


def _describe(context: Context, client: Client) -> str:
    fd, commands, unread, unsent, last = context.server.activity(client.connection)
    far, near = addresses(fd)
    facts = {
        "id": client.id,
        "addr": far,
        "laddr": near,
        "fd": fd,
        "name": client.name.decode(),
        "age": int(time.monotonic() - client.since),
        "flags": "N",
        "db": context.server.database(client.connection),
        "sub": 0,
        "psub": 0,
        "multi": -1,
        "qbuf": unread,
        "obl": unsent,
        "tot-cmds": commands,
        "cmd": last,
        "user": "default",
        "redir": -1,
        "resp": context.server.protocol(client.connection),
        "lib-name": client.library.decode(),
        "lib-ver": client.library_version.decode(),
        "worker": context.index,
    }
    return " ".join(f"{name}={value}" for name, value in facts.items())


def _is_plain(text: bytes) -> bool:
    return all(0x21 <= byte <= 0x7E for byte in text)

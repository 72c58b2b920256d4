"""Which table a server serves: one that nobody serves any more, or a new one."""

import time

from forkkv import objects
from forkkv._core import MASTER, Error, Table, TableExists, TableRetired, TableUnusable
from forkkv.capacity import DEFAULT_MEMORY, fitting_memory, shared_memory_room
from forkkv.config import Config
from forkkv.errors import ServeError
from forkkv.log import get_log
from forkkv.sizes import format_size

ORPHAN_SECONDS = 3.0  # for an orphan to notice that it is one
LOOK_SECONDS = 0.05
log = get_log("master")


def adopt_table(config: Config) -> Table | None:
    """The table of that name, repaired, when it is there and no living master serves it.

    None: there is none, or nothing but what create_table() will judge. Raises ServeError.
    """
    try:
        table = objects.open_table(config.name, role=MASTER)
    except (objects.NoSuchTable, TableUnusable, TableRetired):
        return None
    except Error as error:
        raise ServeError(str(error)) from None
    try:
        _refuse_second_master(config.name, table)
        _refuse_other_memory(config, table.facts()["memory_limit_bytes"])
        _wait_for_orphans(table, config)
        table.repair()
        if config.policy is not None:
            table.set_policy(config.policy)
    except BaseException:
        table.close()
        raise
    _warn_of_small_room(table.facts()["memory_limit_bytes"])
    return table


def create_table(config: Config) -> Table:
    """A new table. Raises ServeError that says what is in the way, and the next step."""
    try:
        memory = config.memory or _fitting_memory()
        _warn_of_small_room(memory)
        return objects.create(
            config.name, memory, role=MASTER, policy=config.policy or "noeviction"
        )
    except TableExists:
        raise ServeError(_what_is_there(config.name)) from None
    except Error as error:
        raise ServeError(str(error)) from None


def _fitting_memory() -> int:
    """What a table gets without --memory; the log says why if that is less than usual."""
    room, memory = shared_memory_room(), fitting_memory()
    if memory < DEFAULT_MEMORY:
        log.info(
            "memory %s and not %s, because %s; a larger one (container: --shm-size) allows more, "
            "and --memory sets it",
            format_size(memory),
            format_size(DEFAULT_MEMORY),
            room,
        )
    return memory


def _warn_of_small_room(limit: int) -> None:
    """The limit may be more than there can ever be: it is reserved only as it is needed."""
    room = shared_memory_room()
    if room is not None and limit > room.total_bytes:
        log.warning(
            "memory %s can never be used, because %s: when that is full, writes fail although the "
            "limit is not reached; make it larger (container: --shm-size), or lower --memory",
            format_size(limit),
            room,
        )


def _what_is_there(name: str) -> str:
    """Why a table that is there was not adopted."""
    try:
        objects.open_table(name).close()
    except Error as error:
        return str(error)
    return (
        f"another process made table {name!r} at the same moment; "
        "start again, or choose another name with --name"
    )


def refuse_truncated(table: Table, name: str) -> None:
    """Asked before the table is touched: whoever touches what is gone dies. Raises ServeError."""
    if table.truncated():
        raise ServeError(
            f"somebody has truncated the object of table {name!r}, and keys are gone with it; "
            f"remove the rest with `forkkv unlink {name}` and start again"
        )


def release_table(table: Table, name: str, keep: bool) -> None:
    """Gives the table back: kept for the next server, or retired and removed.

    A table that somebody else retired is not ours to remove: its name may be taken again. One that
    was truncated cannot be touched.
    """
    try:
        if table.truncated() or table.facts()["retired"]:
            return
        if keep:
            log.info("table %s stays; `forkkv unlink %s` removes it", name, name)
        else:
            table.retire()
            objects.unlink(name)
    finally:
        table.close()


def living_master(table: Table) -> int | None:
    """The pid of a master, other than `table` itself, that serves the table.

    It may be our own pid: in another container that shares /dev/shm.
    """
    for each in table.participants():
        if each["role"] == "master" and each["alive"] and not each["own"]:
            return each["pid"]
    return None


def _wait_for_orphans(table: Table, config: Config) -> None:
    """The workers of a killed master leave by themselves, and hold its port until then."""
    end = time.monotonic() + config.grace + ORPHAN_SECONDS
    while orphans := _orphans(table):
        if time.monotonic() > end:
            raise ServeError(
                f"table {config.name!r} is still in use by processes of the server before, "
                f"{orphans}; kill them and start again"
            )
        time.sleep(LOOK_SECONDS)


def _orphans(table: Table) -> list[int]:
    """The living processes of a server whose master is gone."""
    ours = [each for each in table.participants() if each["role"] in ("worker", "keeper")]
    return [each["pid"] for each in ours if each["alive"]]


def _refuse_second_master(name: str, table: Table) -> None:
    """Each of two that start at once has enrolled before it looks, so at most one goes on."""
    pid = living_master(table)
    if pid is not None:
        raise ServeError(
            f"table {name!r} is served already, by process {pid}; "
            "stop that one, or choose another name with --name"
        )


def _refuse_other_memory(config: Config, limit: int) -> None:
    if config.memory is not None and config.memory != limit:
        raise ServeError(
            f"table {config.name!r} was left behind with a limit of {format_size(limit)}, "
            f"not {format_size(config.memory)}; drop --memory to serve it as it is, "
            f"or remove it and its keys with `forkkv unlink {config.name}`"
        )

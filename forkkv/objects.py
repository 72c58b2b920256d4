"""The shared-memory object of each table, by the table's name: made, opened and unlinked here."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import posix_ipc  # type: ignore[import-not-found]

from forkkv import _core

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


class NoSuchTable(_core.Error):
    """There is no table of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no table '{name}'; start a server with `forkkv serve --name {name}`, "
            f'or make one with attach("{name}", create=True)'
        )


def object_name(name: str) -> str:
    """The name that shm_open() knows the table by. ValueError if `name` cannot be a table's."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a table; use 1 to 100 of letters, digits, '_', '.' and '-'"
        )
    return f"/forkkv.{name}"


def create(
    name: str,
    memory_bytes: int,
    role: int = _core.ATTACHED,
    index: int = 0,
    policy: str = "noeviction",
) -> _core.Table:
    """Makes a table that never takes more than `memory_bytes`, and opens it.

    `policy` says what a full one does, see _core.POLICIES. What a creator that died left half made
    is taken over. Raises TableExists, TableFull when /dev/shm has no room, TableUnusable when
    somebody else's object has the name.
    """
    with new_object(name) as fd:
        return _core.Table(fd, True, memory_bytes, role, index, name=name, policy=policy)


def open_table(
    name: str, role: int = _core.ATTACHED, index: int = 0, database: int = 0
) -> _core.Table:
    """Opens a table. Raises NoSuchTable, TableRetired, TableUnusable."""
    with existing_object(name) as fd:
        return _core.Table(fd, role=role, role_index=index, database=database, name=name)


def observe_table(name: str) -> _core.Table:
    """Opens a table only to look at it: takes no entry and no lock. Raises as open_table()."""
    with existing_object(name) as fd:
        return _core.Table(fd, observe=True, name=name)


def exists(name: str) -> bool:
    """Whether there is an object of this name, usable or not."""
    try:
        posix_ipc.SharedMemory(object_name(name)).close_fd()
    except posix_ipc.ExistentialError:
        return False
    except (posix_ipc.PermissionsError, OSError, ValueError):
        return True
    return True


def unlink(name: str) -> None:
    """Removes the table: who has it open gets TableRetired at the next use. Raises NoSuchTable.

    Removes objects that cannot be opened as well, so it is the way out of every TableUnusable.
    """
    with suppress(_core.TableUnusable), existing_object(name) as fd:
        _core.retire_object(fd)
    _unlink_object(name)


@contextmanager
def new_object(name: str) -> Iterator[int]:
    """A descriptor of the object to make table `name` in, while the block lasts.

    A block that fails leaves no object behind, unless it is a table already, or was there before.
    """
    shared, made = _make_object(name)
    try:
        yield shared.fd
    except _core.TableExists:
        raise _core.TableExists(
            f"table '{name}' exists already; attach to it, or remove it with `forkkv unlink {name}`"
        ) from None
    except BaseException:
        if made and os.fstat(shared.fd).st_size == 0:  # nobody made a table of it
            _unlink_object(name)
        raise
    finally:
        shared.close_fd()


@contextmanager
def existing_object(name: str) -> Iterator[int]:
    """A descriptor of the object of table `name`, while the block lasts. Raises NoSuchTable."""
    shared = _open_object(name)
    try:
        yield shared.fd
    except _core.TableRetired:
        raise _core.TableRetired(
            f"table '{name}' is being removed; if that lasts, whoever removed it died half way: "
            f"finish with `forkkv unlink {name}`"
        ) from None
    finally:
        shared.close_fd()


def _make_object(name: str) -> tuple[posix_ipc.SharedMemory, bool]:
    """The object, and whether it was made here: one that is there may be half made."""
    while True:
        with suppress(posix_ipc.ExistentialError):
            shared = posix_ipc.SharedMemory(object_name(name), posix_ipc.O_CREX, mode=0o600)
            return shared, True
        with suppress(NoSuchTable):  # unlinked since
            return _open_object(name), False


def _open_object(name: str) -> posix_ipc.SharedMemory:
    try:
        return posix_ipc.SharedMemory(object_name(name))
    except posix_ipc.ExistentialError:
        raise NoSuchTable(name) from None
    except posix_ipc.PermissionsError:
        raise _not_ours(name) from None
    except (OSError, ValueError) as error:  # links are not followed: shm_open() has O_NOFOLLOW
        raise _no_object(name, error) from None


def _unlink_object(name: str) -> None:
    try:
        posix_ipc.unlink_shared_memory(object_name(name))
    except posix_ipc.ExistentialError:
        raise NoSuchTable(name) from None
    except posix_ipc.PermissionsError:
        raise _not_ours(name) from None
    except (OSError, ValueError) as error:
        raise _no_object(name, error) from None


def _no_object(name: str, error: Exception) -> Exception:
    """What has the name of the object, and is none: a link, a directory, a socket."""
    path = Path("/dev/shm", object_name(name)[1:])
    if path.is_file() and not path.is_symlink():
        return error  # an object: then it is this process that lacks something, or the kernel
    if path.is_dir() and not path.is_symlink():
        return _core.TableUnusable(
            f"table '{name}': {path} is a directory; remove it, or choose another name"
        )
    what = "a link, which is not followed" if path.is_symlink() else f"no shared memory ({error})"
    return _core.TableUnusable(
        f"table '{name}': {path} is {what}; remove it with `forkkv unlink {name}`"
    )


def _not_ours(name: str) -> _core.TableUnusable:
    return _core.TableUnusable(
        f"table '{name}' belongs to another user; become that user, or use another name"
    )

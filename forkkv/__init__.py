"""forkkv: one table of keys and values in shared memory, for a server and for every process."""

from forkkv._core import (
    Error,
    NotAnInteger,
    TableBusy,
    TableClosed,
    TableExists,
    TableFull,
    TableRetired,
    TableUnusable,
    TooBig,
)
from forkkv.clients.local import Table, attach
from forkkv.objects import NoSuchTable, unlink

__version__ = "0.1.0"

__all__ = [
    "Error",
    "NoSuchTable",
    "NotAnInteger",
    "Table",
    "TableBusy",
    "TableClosed",
    "TableExists",
    "TableFull",
    "TableRetired",
    "TableUnusable",
    "TooBig",
    "__version__",
    "attach",
    "unlink",
]

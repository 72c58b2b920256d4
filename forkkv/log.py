"""The log of a server: one short line on standard error per event of its life, none per client."""

import logging


def start_log() -> None:
    """Sends the log to standard error: time, pid, who, message."""
    line = logging.StreamHandler()
    line.setFormatter(logging.Formatter("%(asctime)s %(process)d %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [line]
    root.setLevel(logging.INFO)


def get_log(role: str, index: int | None = None) -> logging.Logger:
    """The logger of one process: "master", "keeper", "worker 2"."""
    return logging.getLogger(role if index is None else f"{role} {index}")

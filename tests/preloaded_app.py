"""A WSGI application that attaches when it is imported: before the fork, if its server preloads."""

import os
from collections.abc import Callable, Iterable

import forkkv

table = forkkv.attach(os.environ["PRELOADED_TABLE"])

Start = Callable[[str, list[tuple[str, str]]], object]


def app(environ: dict[str, str], start_response: Start) -> Iterable[bytes]:
    """/count: adds one, and tells which process did; /hold: writes for ever."""
    while environ["PATH_INFO"] == "/hold":
        table.set("hot", "x" * 50)
    table.incr("requests")
    table.incr(f"pid {os.getpid()}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

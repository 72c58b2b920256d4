"""The options of `forkkv client`, in two groups: how to talk to the server, and the workload."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from forkkv.sizes import parse_size

from .address import DEFAULT_URL, Address, BadAddress
from .workloads import WORKLOADS

LARGEST_VALUE = "512mb"
LARGEST_BUFFER = "64mb"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def address_of(context: click.Context, parameter: click.Parameter, url: str) -> Address:
    """Return the address that `url` names; for a bad one, click tells the forms."""
    try:
        return Address.parse(url)
    except BadAddress as error:
        raise click.BadParameter(str(error)) from None


def size_in_bytes(text: str) -> int:
    """Return the size `text` in bytes; for a bad one, click tells what to write."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def value_bytes(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """Return the size of a value in bytes, if the server can store one."""
    size = size_in_bytes(text)
    if size > parse_size(LARGEST_VALUE):
        raise click.BadParameter(f"a value has at most {LARGEST_VALUE}")
    return size


def buffer_bytes(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """Return the size of a read buffer in bytes; it is allocated for every read."""
    size = size_in_bytes(text)
    if not 1 <= size <= parse_size(LARGEST_BUFFER):
        raise click.BadParameter(f"a read takes 1 byte to {LARGEST_BUFFER}")
    return size


POSITIVE = click.FloatRange(0, min_open=True)

CONNECTION_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--id",
        "number",
        type=click.IntRange(0),
        default=1,
        show_default=True,
        metavar="NUMBER",
        help="The client calls itself client-NUMBER.",
    ),
    click.option(
        "--url",
        "address",
        callback=address_of,
        default=DEFAULT_URL,
        show_default=True,
        envvar="FORKKV_URL",
        show_envvar=True,
        help="forkkv://HOST:PORT[/DB], redis://HOST:PORT[/DB] or unix:///PATH[?db=N].",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0.001),
        metavar="SECONDS",
        help="The longest wait in one system call.  [default: for ever]",
    ),
    click.option(
        "--buffer",
        "read_bytes",
        callback=buffer_bytes,
        default="64kb",
        show_default=True,
        metavar="BYTES",
        help="How much one read asks for; a larger reply takes more reads.",
    ),
    click.option(
        "--raw/--no-raw",
        default=None,
        help="Replies for programs, or for people.  [default: people on a terminal]",
    ),
    click.option("--calls", is_flag=True, help="Tell the socket's system calls at the end."),
)

WORKLOAD_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--workload",
        "name",
        type=click.Choice(list(WORKLOADS)),
        metavar="NAME",
        help="Run a workload (below) instead of commands.",
    ),
    click.option(
        "--ops",
        type=click.IntRange(1),
        metavar="N",
        help="Operations to send.  [default: 1 session, 1000 churn, 1000 tiny-writes, else 10000]",
    ),
    click.option("--seconds", type=POSITIVE, metavar="S", help="Run so long, instead of --ops."),
    click.option(
        "--rate",
        type=POSITIVE,
        metavar="R",
        help="Operations a second, on a fixed schedule.  [default: as fast as answered]",
    ),
    click.option(
        "--pipeline",
        type=click.IntRange(1, 10_000),
        default=1,
        show_default=True,
        metavar="P",
        help="Operations that share one write.",
    ),
    click.option(
        "--keys",
        type=click.IntRange(1, 10_000_000),
        default=1000,
        show_default=True,
        metavar="K",
        help="How many keys there are: key:0, key:1 and so on.",
    ),
    click.option(
        "--size",
        callback=value_bytes,
        default="32",
        show_default=True,
        metavar="BYTES",
        help="The size of a value: 32, 4kb, 1mb.",
    ),
    click.option(
        "--distribution",
        type=click.Choice(["uniform", "zipf"]),
        default="uniform",
        show_default=True,
        help="How often each key is chosen; zipf has exponent 0.99.",
    ),
    click.option("--seed", type=int, help="Seed of the choices.  [default: the client's number]"),
    click.option("--fill", is_flag=True, help="SET every key first, unmeasured."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


def with_options(options: tuple[Decorator, ...]) -> Decorator:
    """Return a decorator that adds `options` to a command, in their order in --help."""
    return lambda command: reduce(lambda inner, add: add(inner), reversed(options), command)

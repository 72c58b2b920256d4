"""What a command is, and what COMMAND tells of it."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from forkkv.reply import Reply, Status
from forkkv.session import Client, Context

Steps = Generator[None, None, Reply]  # a command that lets the worker serve others in between
Run = Callable[[Context, Client, list[bytes]], "Reply | Steps"]


@dataclass(frozen=True)
class Command:
    """One row of the command table."""

    name: str  # lower case; "client|list" for a subcommand
    arity: int  # words with the name; negative: that many or more
    run: Run | None  # None: the C side answers it, or it only has subcommands
    flags: str = ""  # separated by spaces, as COMMAND gives them
    group: str = "server"
    summary: str = ""
    keys: tuple[int, int, int] = (0, 0, 0)  # first, last, step
    subcommands: tuple["Command", ...] = ()

    def accepts(self, words: int) -> bool:
        """Whether a request of so many words, the name's included, has the right number."""
        return words == self.arity if self.arity > 0 else words >= -self.arity

    @property
    def categories(self) -> list[str]:
        """The ACL categories that follow from the flags and the group."""
        flags = self.flags.split()
        kinds: list[str] = [kind for kind in ("write", "admin") if kind in flags]
        kinds += ["read"] if "readonly" in flags else []
        kinds += [self.group] if self.group in ("string", "connection") else []
        kinds += ["keyspace"] if self.group == "generic" else []
        return ["@" + kind for kind in [*kinds, "fast" if "fast" in flags else "slow"]]


def describe(command: Command) -> Reply:
    """One element of the reply to COMMAND and COMMAND INFO."""
    return [
        command.name,
        command.arity,
        frozenset(Status(flag) for flag in command.flags.split()),
        *command.keys,
        frozenset(Status(category) for category in command.categories),
        [],  # tips
        [],  # key specifications
        [describe(each) for each in command.subcommands],
    ]


def document(command: Command) -> Reply:
    """The value of one command in the reply to COMMAND DOCS."""
    facts: dict[str, Reply] = {"summary": command.summary, "group": command.group}
    if command.subcommands:
        facts["subcommands"] = {each.name: document(each) for each in command.subcommands}
    return facts


def help_lines(command: Command) -> Reply:
    """The reply to HELP of a command that has subcommands."""
    title = f"{command.name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    lines = [title]
    for each in command.subcommands:
        lines += [each.name.partition("|")[2].upper(), "    " + each.summary]
    return [Status(line) for line in lines]

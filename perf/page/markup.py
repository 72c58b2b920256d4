"""Makes HTML and SVG elements: every text is escaped, unless it is markup already."""

from collections.abc import Iterable
from html import escape
from typing import Final

VOID: Final = frozenset({"meta"})  # elements that have no end tag

Content = str | None | Iterable["Content"]
Attribute = str | int | float | bool | None


class Html(str):
    """A text that is markup, and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *content: Content, **attributes: Attribute) -> Html:
    """An element with its content, in order.

    An underscore in the name of an attribute stands for a hyphen, one at its end for nothing
    (`class_`). True gives an attribute without a value; None and False leave it out.
    """
    start = f"<{name}{''.join(_attribute(*pair) for pair in attributes.items())}>"
    return Html(start if name in VOID else f"{start}{join(content)}</{name}>")


def join(content: Content) -> Html:
    """Several pieces as one."""
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(escape(content))
    return Html("".join(map(join, content)))


def _attribute(name: str, value: Attribute) -> str:
    hyphened = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {hyphened}" if value is True else f' {hyphened}="{escape(str(value))}"'

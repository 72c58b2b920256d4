"""A page of HTML taken apart: what its elements are, where they stand, and what they say."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta"}


@dataclass
class Element:
    """One element. `text` is all text in it, its children's too."""

    name: str
    attributes: dict[str, str | None]
    place: int  # among all elements, in order
    text: str = ""
    parents: list["Element"] = field(default_factory=list)

    def within(self, name: str) -> bool:
        """Whether it stands in an element of that name."""
        return any(parent.name == name for parent in self.parents)


class Page(HTMLParser):
    """Reads a page; an end tag that does not match fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {[element.name for element in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), len(self.elements), parents=list(self.open))
        assert len(element.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> ends <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def named(self, *names: str) -> list[Element]:
        """All elements of these names, in order."""
        return [element for element in self.elements if element.name in names]

    def classed(self, name: str) -> list[Element]:
        """All elements of a class, in order."""
        return [e for e in self.elements if name in (e.attributes.get("class") or "").split()]

    def called(self, identity: str) -> Element:
        """The one element with that id."""
        (found,) = (e for e in self.elements if e.attributes.get("id") == identity)
        return found

    def rows(self, caption: str) -> list[list[str]]:
        """The cells of a table, row by row, its head first."""
        (table,) = (c.parents[-1] for c in self.named("caption") if c.text == caption)
        rows: dict[int, list[str]] = {}
        for cell in self.named("th", "td"):
            if table in cell.parents:
                rows.setdefault(cell.parents[-1].place, []).append(cell.text)
        return list(rows.values())

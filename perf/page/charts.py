"""Draws the charts of the page as inline SVG: stacked bars, meters, and steps over time.

Positions are shares of the width, so a chart fills whatever room it is given while its text keeps
its size. Colours are the classes of perf/page/page.css.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from forkkv.perf.page.markup import Content, Html, join, tag

NAMED: Final = 17.0  # percent of the width from which a piece has room for its name
CROWDED: Final = 0.5  # percent up to which there is no room for a gap
WIDE, HIGH = 1000, 100  # of the canvas that a line is drawn on, in units of its own
STEPS: Final = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # where a scale may end, times a power of ten


@dataclass(frozen=True)
class Piece:
    """One part of a bar. `kind` names its colour, `words` say what it is to a pointer."""

    kind: str
    size: float
    words: str


@dataclass(frozen=True)
class Moment:
    """A value that held from one second to another; None when it is not known."""

    start: float
    end: float
    value: float | None
    words: str


def nice(value: float) -> float:
    """The round number, at or above the value, at which a scale should end."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in STEPS if step * power >= value), 10 * power)


def stack(pieces: Iterable[Piece], full: float, label: str, ticks: Sequence[float] = ()) -> Html:
    """A bar of pieces side by side. `full`: the size that fills the width; `ticks` cross it."""
    drawn: list[Content] = [_tick(100 * at / full) for at in ticks if 0 < at <= full]
    at = 0.0
    for piece in pieces:
        wide = 100 * piece.size / full if full else 0.0
        if wide > 0:
            drawn.append(_piece(piece, at, wide))
        at += wide
    return tag("svg", _rect(0, 0, class_="base"), drawn, **_image("stack", label))


def meter(share: float, label: str) -> Html:
    """A share of one, as a short bar."""
    width = 100 * min(1.0, max(0.0, share))
    drawn = (_rect(0, 100, class_="rail"), _rect(0, width, class_="level"))
    return tag("svg", drawn, **_image("meter", label))


def swatch(kind: str) -> Html:
    """The colour of a kind of piece, for a legend."""
    return tag("svg", _rect(0, 100, class_=kind), class_="swatch", aria_hidden="true")


def sign(severity: int) -> Html:
    """A shape for a severity, as colours alone tell not everybody the same."""
    shapes = (
        "M2.5 8.5l3.5 3.5 7.5-8",  # a tick
        "M8 2.5a5.5 5.5 0 1 0 .01 0z",  # a disc
        "M8 1.5L14.5 8 8 14.5 1.5 8z",  # a diamond
        "M8 1.5L15 14.5H1z",  # a triangle
    )
    path = tag("path", d=shapes[severity], class_=None if severity else "line")
    return tag("svg", path, class_="sign", viewBox="0 0 16 16", aria_hidden="true")


def steps(
    moments: Sequence[Moment], top: float, end: float, label: str, scale: str, told: bool
) -> Html:
    """A line that steps from value to value, over an area.

    `top` and `end` are where the scales of values and of seconds end, `scale` is `top` in words.
    `told`: each moment says its words to a pointer.
    """
    runs = list(_runs(moments))
    areas = (f"{_line(run, top, end)}V{HIGH}H{_x(run[0].start, end)}Z" for run in runs)
    canvas = (
        tag("path", d="".join(areas), class_="area"),
        tag("path", d="".join(_line(run, top, end) for run in runs), class_="line"),
        (_hit(moment, end) for moment in moments if told),
    )
    frame = {"viewBox": f"0 0 {WIDE} {HIGH}", "preserveAspectRatio": "none"}
    return tag(
        "svg",
        (tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid") for y in ("16%", "48%", "80%")),
        tag("svg", canvas, y="16%", width="100%", height="64%", **frame),
        tag("text", scale, x=0, y="13%"),
        tag("text", "0", x=0, y="98%"),
        tag("text", f"{end:,.{1 if end < 100 else 0}f} s", x="100%", y="98%", text_anchor="end"),
        **_image("steps", label),
    )


def _image(kind: str, label: str) -> dict[str, str]:
    return {"class_": kind, "role": "img", "aria_label": label}


def _piece(piece: Piece, at: float, wide: float) -> Html:
    name = tag("text", piece.kind, x=f"{at + wide / 2:.3f}%", y="50%") if wide >= NAMED else None
    parted = at > CROWDED  # else it would hide all that is before it
    gap = tag("rect", x=f"{at:.3f}%", width=1, height="100%", class_="gap") if parted else None
    return tag(
        "g", tag("title", piece.words), _rect(at, wide), gap, name, class_=f"kind {piece.kind}"
    )


def _rect(at: float, wide: float, class_: str | None = None) -> Html:
    width = f"{wide:.3f}%" if wide else 1
    return tag("rect", x=f"{at:.3f}%", width=width, height="100%", class_=class_)


def _tick(at: float) -> Html:
    return tag("line", x1=f"{at:.3f}%", x2=f"{at:.3f}%", y1=0, y2="100%", class_="grid")


def _runs(moments: Sequence[Moment]) -> Iterator[list[Moment]]:
    """The moments cut where a value is not known."""
    run: list[Moment] = []
    for moment in moments:
        if moment.value is not None:
            run.append(moment)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _line(run: list[Moment], top: float, end: float) -> str:
    drawn = [f"M{_x(run[0].start, end)} {_y(run[0], top)}"]
    drawn += [f"V{_y(moment, top)}H{_x(moment.end, end)}" for moment in run]
    return "".join(drawn)


def _x(second: float, end: float) -> str:
    return f"{WIDE * second / end:.2f}"


def _y(moment: Moment, top: float) -> str:
    return f"{HIGH - HIGH * (moment.value or 0) / top:.2f}"


def _hit(moment: Moment, end: float) -> Html:
    wide = f"{WIDE * (moment.end - moment.start) / end:.2f}"
    title = tag("title", moment.words)
    return tag("rect", title, x=_x(moment.start, end), width=wide, height=HIGH, class_="hit")


def legend(kinds: Iterable[tuple[str, str]]) -> Html:
    """What each colour stands for: pairs of a kind and its words."""
    rows = (tag("li", swatch(kind), tag("span", words)) for kind, words in kinds)
    return tag("ul", join(rows), class_="legend")


def axis(ticks: Iterable[float], full: float) -> Html:
    """The numbers below bars of the same scale; a pointer and a listener have them elsewhere."""
    marks = (
        tag("text", f"{at:g}", x=f"{100 * at / full:.3f}%", y="70%", text_anchor=_anchor(at, full))
        for at in ticks
    )
    return tag("svg", marks, class_="axis", aria_hidden="true")


def _anchor(at: float, full: float) -> str:
    return "start" if at == 0 else "end" if at == full else "middle"

"""forkkv report --format html in a browser: it is drawn, and it is never wider than the window."""

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import zlib
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from made_report import full, timeline
from programs import needs

from forkkv.perf.page.page import to_html

WIDTHS = (360, 390, 1400)
SECONDS = 50  # until a browser that hangs is ended
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]

# Shows the page at each width with everything unfolded, and writes down what it measured.
WRAPPER = """<!DOCTYPE html><title>wrapper</title><body style="margin:0">%s<pre></pre><script>
onload = () => {
  const measured = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll("details").forEach(folded => { folded.open = true; });
    const high = e => e.getBoundingClientRect().height;
    return {
      wide: root.scrollWidth, room: root.clientWidth,
      background: frame.contentWindow.getComputedStyle(root).backgroundColor,
      flat: [...page.querySelectorAll("svg, section, article, table, h2")].filter(e => !high(e))
        .map(e => e.outerHTML.slice(0, 80)),
      lines: page.querySelectorAll(".steps .line").length,
    };
  });
  document.querySelector("pre").textContent = JSON.stringify(measured);
}
</script>"""


def awkward() -> dict[str, Any]:
    """Everything there is, with names that nothing can break into lines."""
    made = full()
    for i, process in enumerate(made["processes"]):
        process["process"] += "-of-a-name-that-is-far-too-long-for-any-table" if i % 2 else ""
        process["command"] = "x" * 300
    made["run"]["table"] = "t" * 80
    made["findings"][0]["next"] = "y" * 200
    made["findings"][0]["situation"] = "z" * 90
    made["timeline"] = timeline([process["process"] for process in made["processes"]])
    return made


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """What one start of the browser measured for each width, and the picture it took."""
    needs("chromium")
    folder = tmp_path_factory.mktemp("browser")
    (folder / "report.html").write_text(to_html(awkward()), encoding="ascii")
    frames = (f'<iframe src="report.html" width="{wide}" height="700"></iframe>' for wide in WIDTHS)
    wrapper, picture = folder / "wrapper.html", folder / "picture.png"
    wrapper.write_text(WRAPPER % "".join(frames))
    command = ["chromium", *QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    command += ["--allow-file-access-from-files", f"--screenshot={picture}"]
    command += ["--window-size=2200,720", wrapper.as_uri()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as browser:
        try:
            out, _ = browser.communicate(timeout=SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
    found = re.search(r"<pre>(\[.*\])</pre>", out.decode(), re.DOTALL)
    assert found, out.decode()[:2000]
    return json.loads(unescape(found[1])), picture


Seen = tuple[list[dict[str, Any]], Path]


@pytest.mark.parametrize("place", range(len(WIDTHS)), ids=map(str, WIDTHS))
def test_nothing_is_wider_than_the_window(seen: Seen, place: int) -> None:
    measured = seen[0][place]
    assert measured["room"] == WIDTHS[place]
    assert measured["wide"] <= measured["room"]


@pytest.mark.parametrize("place", range(len(WIDTHS)), ids=map(str, WIDTHS))
def test_everything_is_drawn_in_the_pages_own_style(seen: Seen, place: int) -> None:
    measured = seen[0][place]
    assert measured["flat"] == []
    assert measured["lines"] == 3 * 8
    assert measured["background"] in ("rgb(252, 252, 250)", "rgb(20, 23, 27)")  # --page


def test_the_picture_is_not_blank(seen: Seen) -> None:
    """Rows of one colour leave only a few values in a PNG; text and charts leave most."""
    data, at, pixels = seen[1].read_bytes(), 8, b""
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            pixels += data[at + 8 : at + 8 + size]
        at += size + 12
    assert len(set(zlib.decompress(pixels))) > 200

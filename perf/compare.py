"""Compares two runs: which findings came and went, which numbers changed, and what is mere noise.

The result is one plain structure, from which text, Markdown and JSON are made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from forkkv.perf import diagnose
from forkkv.perf.diagnose import Finding
from forkkv.perf.quantities import RATIOS, Quantities, of_role, of_server
from forkkv.perf.rules import HEALTHY
from forkkv.perf.run import Run
from forkkv.perf.significance import LEVEL, Chance, Kind, Sample, chance, holm
from forkkv.perf.units import unit_of

SCHEMA: Final = 1
SMALL: Final = 0.05  # a change by less is called small, however sure it is
UNLIKE: Final = 2.0  # windows whose lengths differ by more are hard to compare

# What is compared, in this order. RATIOS says what each number is made of.
SERVER: Final = (
    "commands_per_second",
    "calls_per_command",
    "reads_per_command",
    "writes_per_command",
    "polls_per_command",
    "watches_per_command",
    "accepts_per_command",
    "closes_per_command",
    "opens_per_command",
    "futexes_per_command",
    "lock_waits_per_command",
    "fsyncs_per_write",
    "switches_per_command",
    "cpu_microseconds_per_command",
    "cpu_share",
    "lock_wait_share",
    "miss_share",
    "failed_read_share",
    "failed_write_share",
    "failed_accept_share",
    "partial_write_share",
    "busiest_accept_share",
    "bytes_per_read",
    "bytes_per_write",
    "evicted_per_second",
    "expired_per_second",
    "minor_faults_per_second",
)
CLIENT: Final = (
    "writes_per_second",
    "connects_per_write",
    "reads_per_write",
    "polls_per_write",
    "commands_per_client_write",
    "failed_read_share",
    "failed_write_share",
    "failed_connect_share",
    "cpu_share",
)
ROLES: Final = {"worker": SERVER, "attached": SERVER, "client": CLIENT}

Verdict = Literal["lower", "higher", "small", "noise", "same", "too little data"]
LITTLE: Final = ("small", "noise", "same")
Json = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One number in both runs. `p` is corrected for the number of rows; None: not judged."""

    subject: str  # server, or the role of the processes that are added up
    quantity: str
    a: Sample
    b: Sample
    p: float | None
    lacks: str = ""  # what there was too little of: events or moments

    @property
    def by(self) -> float | None:
        """The change as a part of what it was: -0.5 is half of it. None: it was nothing."""
        return self.b.ratio / self.a.ratio - 1 if self.a.ratio else None

    @property
    def verdict(self) -> Verdict:
        """What is to be concluded."""
        if self.a.ratio == self.b.ratio:
            return "same"
        if self.p is None:
            return "too little data"
        if self.p >= LEVEL:
            return "noise"
        if self.by is not None and abs(self.by) < SMALL:
            return "small"
        return "higher" if self.b.ratio > self.a.ratio else "lower"


def compare(a: Run, b: Run) -> Json:
    """What is different in run `b` from run `a`, ready for JSON."""
    changed = changes(a, b)
    return {
        "schema": SCHEMA,
        "a": _run(a),
        "b": _run(b),
        "warnings": list(warnings(a, b)),
        "findings": _findings(a, b, changed),
        "changes": [_change(each) for each in changed],
        "level": LEVEL,
        "small": SMALL,
    }


def changes(a: Run, b: Run) -> list[Change]:
    """Every number that both runs have: of the server, then of a role where it says more."""
    pairs = list(_pairs("server", SERVER, _known(a), _known(b)))
    whole = {quantity: (one, two) for _, quantity, one, two in pairs}
    for role, quantities in ROLES.items():
        pairs += [
            pair
            for pair in _pairs(role, quantities, _known(a, role), _known(b, role))
            if role == "client" or _says_more(pair[2:], whole.get(pair[1]))
        ]
    judged = [_judge(quantity, one, two) for _, quantity, one, two in pairs]
    corrected = iter(holm([each.p for each in judged if each.p is not None]))
    return [
        Change(*pair, None if each.p is None else next(corrected), each.lacks)
        for pair, each in zip(pairs, judged, strict=True)
    ]


Pair = tuple[str, str, Sample, Sample]


def _known(run: Run, role: str = "") -> list[Quantities]:
    """The numbers of the whole window, then those of each moment."""
    return [of_role(part, role) if role else of_server(part) for part in (run, *run.moments)]


def _pairs(
    subject: str, names: Iterable[str], a: list[Quantities], b: list[Quantities]
) -> Iterator[Pair]:
    for name in names:
        if name in a[0] and name in b[0]:
            yield subject, name, _sample(name, a), _sample(name, b)


def _sample(name: str, known: list[Quantities]) -> Sample:
    """`known` holds the window, then its moments. A moment that does not know is left out."""
    what, per = RATIOS[name]
    moments = tuple((each[what], each[per]) for each in known[1:] if what in each and per in each)
    return Sample(known[0][what], known[0][per], moments)


def _says_more(role: tuple[Sample, Sample], server: tuple[Sample, Sample] | None) -> bool:
    """Whether a role's number is another one than that of the server as a whole."""
    if server is None:
        return True
    return any(
        abs(one.ratio - all_.ratio) > SMALL * all_.ratio
        for one, all_ in zip(role, server, strict=True)
    )


def _judge(quantity: str, a: Sample, b: Sample) -> Chance:
    return chance(a, b, kind(quantity))


def kind(quantity: str) -> Kind:
    """What a number is made of, and so which tests can judge it."""
    if any("seconds" in part or "bytes" in part for part in RATIOS[quantity]):
        return "measure"
    return "share" if quantity.endswith("_share") else "counts"


def of_machine(quantity: str) -> bool:
    """Whether a number depends on what else the machine does, and not on the programs alone."""
    return any("seconds" in part or part == "switches" for part in RATIOS[quantity])


def warnings(a: Run, b: Run) -> Iterator[str]:
    """Why the two runs may not be comparable, in sentences."""
    if a.facts["window"]["opened"] == b.facts["window"]["opened"]:
        yield "A and B are copies of one run."
    elif b.facts["window"]["opened"] < a.facts["window"]["opened"]:
        yield "B was collected before A: is the order right?"
    if a.source != b.source:
        yield f"A was counted by {a.source}, B by {b.source}: they see different calls."
    if "strace" in (a.source, b.source):
        yield "strace slows every process down: distrust rates, CPU times and shares."
    for what, one, two in (
        ("kernel", a.facts["kernel"], b.facts["kernel"]),
        ("number of workers", _workers(a), _workers(b)),
        ("number of clients", len(a.clients), len(b.clients)),
    ):
        if one != two:
            yield f"The {what} differs: {one} in A, {two} in B."
    if len(a.clients) == len(b.clients) and _commands(a) != _commands(b):
        yield "The clients ran different commands: a change may be theirs, not the server's."
    if max(a.seconds, b.seconds) > UNLIKE * min(a.seconds, b.seconds):
        yield f"The windows differ in length: {a.seconds:.2f} s and {b.seconds:.2f} s."
    for letter, run in (("A", a), ("B", b)):
        yield from (f"{letter}: {sentence}" for sentence in run.facts["lost"])


def _workers(run: Run) -> int:
    return sum(process.role == "worker" for process in run.server)


def _commands(run: Run) -> list[str]:
    return sorted(process.command for process in run.clients)


def _run(run: Run) -> Json:
    return {
        "directory": run.directory,
        **{key: run.facts[key] for key in ("date", "kernel", "table")},
        "source": run.source,
        "seconds": round(run.seconds, 3),
        "moments": len(run.moments),
        "workers": _workers(run),
        "clients": [process.command for process in run.clients],
        "commands": of_server(run).get("commands"),
    }


def _findings(a: Run, b: Run, changed: list[Change]) -> Json:
    """Findings by what became of them."""
    before, after = (
        {found.rule.situation: found for found in diagnose.findings(diagnose.subjects(run))}
        for run in (a, b)
    )
    for found in (before, after):
        found.pop(HEALTHY, None)
    return {
        "gone": [_finding(each, changed) for name, each in before.items() if name not in after],
        "new": [_finding(each, changed) for name, each in after.items() if name not in before],
        "still": [
            {**_finding(each), "was": _finding(before[name])["observations"]}
            for name, each in after.items()
            if name in before
        ],
    }


def _finding(finding: Finding, changed: Iterable[Change] = ()) -> Json:
    """`doubt`: all the ratios that decide it were judged, and none changed by more than noise."""
    deciding = {each.quantity for each in finding.evidence if each.operator} & RATIOS.keys()
    rows = [each for each in changed if each.quantity in deciding]
    judged = {each.quantity for each in rows} == deciding
    return {
        "situation": finding.rule.situation,
        "severity": finding.severity,
        "confidence": round(finding.confidence, 2),
        "processes": finding.subjects,
        "observations": [
            {"process": label, "observation": row.observation}
            for label, row in zip(finding.subjects, finding.sentences, strict=True)
        ],
        "inference": finding.sentences[0].inference,
        "doubt": bool(rows) and judged and all(each.verdict in LITTLE for each in rows),
    }


def _change(change: Change) -> Json:
    return {
        "subject": change.subject,
        "quantity": change.quantity,
        "unit": unit_of(change.quantity),
        "a": round(change.a.ratio, 6),
        "b": round(change.b.ratio, 6),
        "change": None if change.by is None else round(change.by, 4),
        "p": None if change.p is None else float(f"{change.p:.3g}"),
        "verdict": change.verdict,
        "lacks": change.lacks,
        "machine": of_machine(change.quantity),
    }

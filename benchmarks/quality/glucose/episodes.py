"""The table of glycaemic episodes: the box's engine against references that look back over the whole trace.

The level rules of `configs/protocols/diabetes_cgm.toml`, as they ship, judge the recordings one reading at a time.
Episodes match when they overlap within one step of the grid, person by person and level by level. The references
disagree with each other too: that is the bar, and equality is not the aim. A reference knows an episode when it is
over; the engine can be fair 15 min after its start, and how late it was is in the row.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from alerting.protocol_file import read_protocol
from alerting.rules import LevelRule
from benchmarks.figure import quantile
from benchmarks.quality.glucose import grid
from benchmarks.quality.glucose.grid import Span
from benchmarks.quality.glucose.harness import Answer, Sitting, checked
from benchmarks.quality.glucose.judge import Watching
from benchmarks.quality.glucose.rows import show, shown
from benchmarks.quality.glucose.traces import MINUTE, ROOT, Trace, folder, recordings
from devices.reading import Quantity

PROTOCOL = ROOT / "configs" / "protocols" / "diabetes_cgm.toml"
LEVELS = {
    "lv1_hypo": (70.0, True),
    "lv2_hypo": (54.0, True),
    "lv1_hyper": (180.0, False),
    "lv2_hyper": (250.0, False),
}
"""Level -> threshold in mg/dL, and whether low values are beyond it; both strict."""

ENGINE = "engine"
REWRITTEN = "iglu's definition"
FOREVER = 1 << 62

COLUMNS = (
    "recording",
    "level",
    "found by",
    "held against",
    "found",
    "reference",
    "precision",
    "recall",
    "late p50",
    "p95",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert of the engine: what it says it spans, and when it was answered (ms UTC)."""

    span: Span
    answered_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How the episodes of one finder compare with those of another.

    Attributes:
        found, reference: how many each has.
        right: how many found ones the reference has.
        seen: how many of the reference's were found.
        late: ms from the start of each seen one to the answer, 0 when an alert stood already; empty for a finder that
            looks back.
    """

    found: int
    reference: int
    right: int
    seen: int
    late: tuple[int, ...] = ()

    @property
    def precision(self) -> float | None:
        """Share of the found ones that the reference has."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of the reference's that were found."""
        return self.seen / self.reference if self.reference else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison."""

    recording: str
    level: str
    finder: str
    against: str
    agreement: Agreement

    def cells(self) -> tuple[str, ...]:
        """Return the row for a reader."""
        one = self.agreement
        late = [delay / MINUTE for delay in one.late]
        return (
            self.recording,
            self.level,
            self.finder,
            self.against,
            str(one.found),
            str(one.reference),
            shown(one.precision, 3),
            shown(one.recall, 3),
            shown(median(late), 0) if late else "-",
            shown(quantile(late, 0.95), 0) if late else "-",
        )

    def line(self) -> dict[str, object]:
        """Return the row for a program."""
        one = self.agreement
        late = [delay / MINUTE for delay in one.late]
        return {
            "recording": self.recording,
            "level": self.level,
            "finder": self.finder,
            "against": self.against,
            "found": one.found,
            "reference": one.reference,
            "precision": one.precision,
            "recall": one.recall,
            "late_min_p50": median(late) if late else None,
            "late_min_p95": quantile(late, 0.95) if late else None,
        }


def agree(found: Sequence[Span], reference: Sequence[Span], *, within: int, late: Sequence[int] = ()) -> Agreement:
    """Compare episodes: they match when they overlap within so many ms.

    Args:
        found: of the finder.
        reference: held against.
        within: ms, one step of the grid.
        late: when each found one was answered, in the order of `found`.
    """
    matches = [[place for place, one in enumerate(found) if _overlap(one, wanted, within)] for wanted in reference]
    return Agreement(
        found=len(found),
        reference=len(reference),
        right=len({place for several in matches for place in several}),
        seen=sum(bool(several) for several in matches),
        late=tuple(
            max(0, min(late[place] for place in several) - wanted.start)
            for several, wanted in zip(matches, reference, strict=True)
            if several and late
        ),
    )


def _overlap(one: Span, other: Span, within: int) -> bool:
    return one.patient == other.patient and one.start - within <= other.end and other.start - within <= one.end


def level_rules(protocol: str) -> dict[str, str]:
    """Return level -> id of the protocol's rule for it: the one of that side and threshold that lasts.

    Raises:
        LookupError: the protocol has no such rule for a level.
    """
    found: dict[str, str] = {}
    for level, (threshold, low) in LEVELS.items():
        for rule in read_protocol(protocol.encode(), name_hint=PROTOCOL.name).rules:
            if (
                isinstance(rule, LevelRule)
                and rule.quantity is Quantity.GLUCOSE_INTERSTITIAL
                and rule.persist == grid.LASTING
                and (rule.threshold, rule.side.low) == (round(threshold * 10), low)
            ):
                found.setdefault(level, rule.id)
    if lacking := LEVELS.keys() - found.keys():
        raise LookupError(f"{PROTOCOL.name} has no 15-minute rule for {', '.join(sorted(lacking))}")
    return found


def engine_alerts(traces: Sequence[Trace], protocol: str) -> dict[str, list[Alert]]:
    """Return level -> what the engine answered, one reading at a time, in another process."""
    rules = level_rules(protocol)
    task = Watching(protocol=protocol, rules=tuple(rules.values()))
    sittings = [Sitting(trace=trace, task=task) for trace in traces]
    gathered: defaultdict[str, list[Alert]] = defaultdict(list)
    for sitting, answers in zip(sittings, checked(sittings), strict=True):
        for level, rule in rules.items():
            gathered[level] += _alerts(sitting.trace.patient, rule, answers)
    return gathered


def _alerts(patient: str, rule: str, answers: Iterable[Answer]) -> Iterable[Alert]:
    answered: dict[int, int] = {}
    ended: dict[int, int] = {}
    for answer in answers:
        for told in answer.told:
            if told["rule"] == rule and told["kind"] == "raised":
                answered.setdefault(told["onset"], answer.time)
            elif told["rule"] == rule and told["kind"] == "resolved":
                ended[told["onset"]] = told["resolved_at"]
    for onset, at in answered.items():
        yield Alert(span=Span(patient=patient, start=onset, end=ended.get(onset, FOREVER)), answered_at=at)


def read_reference(path: Path, dataset: str, end_column: str) -> dict[str, list[Span]]:
    """Return level -> episodes of one data set in a file of reference episodes."""
    found: defaultdict[str, list[Span]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["dataset"] == dataset and row["level"] in LEVELS:
                span = Span(patient=row["patient"], start=_ms(row["start"]), end=_ms(row[end_column]))
                found[row["level"]].append(span)
    return found


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def rewritten(traces: Sequence[Trace]) -> dict[str, list[Span]]:
    """Return level -> episodes by iglu's definition as it is written in `grid`."""
    return {
        level: [span for trace in traces for span in grid.episodes(trace, threshold=threshold, low=low)]
        for level, (threshold, low) in LEVELS.items()
    }


def compared(name: str, traces: Sequence[Trace], data: Path | None) -> list[Row]:
    """Return the rows of one recording; the reference files are in the folder that DATA names."""
    references: dict[str, dict[str, list[Span]]] = {}
    if data is not None:
        for library, end_column in (("iglu", "last_grid_point"), ("agata", "end")):
            path = data / f"reference_{library}_episodes.csv.gz"
            if path.exists():
                references[library] = read_reference(path, f"cgm_{name}", end_column)
    again = rewritten(traces)
    alerts = engine_alerts(traces, PROTOCOL.read_text(encoding="utf-8"))
    step = traces[0].cadence
    rows = []

    def add(level: str, finder: str, against: str, agreement: Agreement) -> None:
        rows.append(Row(recording=name, level=level, finder=finder, against=against, agreement=agreement))

    for level in LEVELS:
        spans = [alert.span for alert in alerts[level]]
        answered = [alert.answered_at for alert in alerts[level]]
        for against, reference in (references or {REWRITTEN: again}).items():
            add(level, ENGINE, against, agree(spans, reference.get(level, []), within=step, late=answered))
        if len(references) == 2:
            (one, found), (other, reference) = references.items()
            add(level, one, other, agree(found.get(level, []), reference.get(level, []), within=step))
        if "iglu" in references:
            # Not by overlap: every first and last point must be the same.
            known = references["iglu"].get(level, [])
            same = len(set(again[level]) & set(known))
            agreement = Agreement(found=len(again[level]), reference=len(known), right=same, seen=same)
            add(level, REWRITTEN, "iglu, exactly", agreement)
    return rows


def together(rows: Sequence[Row], name: str) -> list[Row]:
    """Return the same comparisons over all recordings together."""
    gathered: defaultdict[tuple[str, str, str], list[Agreement]] = defaultdict(list)
    for row in rows:
        gathered[row.level, row.finder, row.against].append(row.agreement)
    return [
        Row(recording=name, level=level, finder=finder, against=against, agreement=_total(several))
        for (level, finder, against), several in gathered.items()
    ]


def _total(several: Sequence[Agreement]) -> Agreement:
    return Agreement(
        found=sum(one.found for one in several),
        reference=sum(one.reference for one in several),
        right=sum(one.right for one in several),
        seen=sum(one.seen for one in several),
        late=tuple(delay for one in several for delay in one.late),
    )


def tables() -> None:
    """Print the table."""
    data = folder()
    found = recordings(data)
    rows = [row for name, traces in found.items() for row in compared(name, traces, data)]
    if len(found) > 1:
        rows += together(rows, "all")
    show(
        "Sensor episodes of the engine, one reading at a time, against references that look back (minutes late)",
        COLUMNS,
        [row.cells() for row in rows],
        "glucose.episodes",
        [row.line() for row in rows],
    )

"""The table of burden: how many alerts a day a patient's sensor makes, and what a nurse can receive.

Sensors differ: on the same people one brand has been below 70 mg/dL twenty times as long as another, so these are
*sensor* lows, and the figures hold for the sensors of the recordings. Counted on the engine's own alerts, answered one
reading at a time.

- each level rule as it ships, by its audience, as raised;
- level 1 confirmed (15 min), and not again within 120 min after the last one was told;
- level 2;
- a daily digest: at the end of a day (UTC, the recordings' own clock) of which at least 70 % was read, a person is on
  it when more than 4 % of the day's readings were below 70 or more than 1 % below 54 mg/dL (the targets of the
  consensus, Battelino 2023, on one day); counted when not on it in the seven days before. Every day at most one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerting.protocol_file import read_protocol
from benchmarks.quality.glucose.episodes import LEVELS, PROTOCOL, Alert, engine_alerts, level_rules
from benchmarks.quality.glucose.rows import show, shown
from benchmarks.quality.glucose.traces import DAY, MINUTE, Trace, folder, recordings

REFRACTORY = 120 * MINUTE
AIM = 0.10
DIGEST_LIMITS = ((700, 0.04), (540, 0.01))
"""Quanta below which a reading counts, and the share of the day beyond which a person is told."""
DAY_READ = 0.7
FORGOTTEN = 7

COLUMNS = ("recording", "what is told", "for", "alerts", "a patient-day", "patient-days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How often one thing is told."""

    recording: str
    what: str
    audience: str
    alerts: int
    days: float

    @property
    def rate(self) -> float:
        """Alerts a patient-day."""
        return self.alerts / self.days

    def cells(self) -> tuple[str, ...]:
        """Return the row for a reader."""
        rate = shown(self.rate, 3)
        return self.recording, self.what, self.audience, str(self.alerts), rate, shown(self.days, 0)

    def line(self) -> dict[str, object]:
        """Return the row for a program."""
        return {
            "recording": self.recording,
            "told": self.what,
            "audience": self.audience,
            "alerts": self.alerts,
            "days": self.days,
            "alerts_a_patient_day": self.rate,
            "aim_for_a_nurse": AIM,
        }


def apart(alerts: Iterable[Alert], refractory: int) -> int:
    """Return how many alerts are told when, for each person, none is within so many ms after the last one told."""
    last: dict[str, int] = {}
    told = 0
    for alert in sorted(alerts, key=lambda one: one.answered_at):
        patient = alert.span.patient
        if patient not in last or alert.answered_at - last[patient] >= refractory:
            last[patient] = alert.answered_at
            told += 1
    return told


def digest_days(trace: Trace) -> list[int]:
    """Return the days (since 1970, UTC) at whose end a person is newly on the digest."""
    by_day: defaultdict[int, list[int]] = defaultdict(list)
    for time, count in zip(trace.times, trace.counts, strict=True):
        by_day[time // DAY].append(count)
    new: list[int] = []
    last: int | None = None
    for day, counts in sorted(by_day.items()):
        if len(counts) * trace.cadence < DAY_READ * DAY:
            continue
        if any(sum(count < limit for count in counts) > share * len(counts) for limit, share in DIGEST_LIMITS):
            if last is None or day - last > FORGOTTEN:
                new.append(day)
            last = day
    return new


def burden(name: str, traces: Sequence[Trace]) -> list[Row]:
    """Return the rows of one recording."""
    text = PROTOCOL.read_text(encoding="utf-8")
    alerts = engine_alerts(traces, text)
    rules = {rule.id: rule for rule in read_protocol(text.encode(), name_hint=PROTOCOL.name).rules}
    days = sum(trace.days for trace in traces)

    def row(what: str, audience: str, count: int) -> Row:
        return Row(recording=name, what=what, audience=audience, alerts=count, days=days)

    rows = []
    for level, rule_id in level_rules(text).items():
        rule = rules[rule_id]
        rows.append(row(f"{rule_id} as raised", rule.audience.value, len(alerts[level])))
    lows = [level for level, (_, low) in LEVELS.items() if low]
    rows.append(row("level 1 low, 120 min apart", "candidate", apart(alerts[lows[0]], REFRACTORY)))
    rows.append(row("level 2 low", "candidate", len(alerts[lows[1]])))
    rows.append(row("daily digest of lows, newly on it", "candidate", sum(len(digest_days(one)) for one in traces)))
    return rows


def together(rows: Sequence[Row], name: str) -> list[Row]:
    """Return the same rows over all recordings together."""
    gathered: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        gathered[row.what, row.audience].append(row)
    return [
        Row(
            recording=name,
            what=what,
            audience=audience,
            alerts=sum(row.alerts for row in several),
            days=sum(row.days for row in several),
        )
        for (what, audience), several in gathered.items()
    ]


def tables() -> None:
    """Print the table."""
    found = recordings(folder())
    rows = [row for name, traces in found.items() for row in burden(name, traces)]
    if len(found) > 1:
        rows += together(rows, "all")
    show(
        f"Alerts a patient-day on sensor recordings (aim for what a nurse receives: at most {AIM:.2f})",
        COLUMNS,
        [row.cells() for row in rows],
        "glucose.burden",
        [row.line() for row in rows],
    )

"""Who did what, when, to whom and why: the record of acts, as each role may read it.

- A nurse reads her own acts; a physician also those on the team's patients; administrators those that are technical,
  without pseudonyms; auditors all, with pseudonyms.
- The record is one for the whole database. What is of another team (its boxes, patients, alerts, orders, people) is
  left out; what programs do is of no team and shown to whoever reads technical acts.
- Pages are read backwards from the newest, a bounded number of entries at a time, so that years of acts cost no more
  than a day's.

Not here: what an entry is (exchange.audit_chain), and whether the chain holds (coordination.audit_check).
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from coordination.audit_log import AuditLog
from coordination.desk.access import Action
from coordination.desk.visits import Visit
from coordination.lines import iso
from coordination.sql import Sql
from exchange.audit_chain import Act, Entry

PAGE = 60
"""Acts on one page."""
LOOKED_AT = 20_000
"""Entries that one page looks through at most."""
_BATCH = 500
MOST_EXPORTED = 200_000

_CARE: Final = frozenset(
    {Act.ALERT_ACKNOWLEDGED, Act.ALERT_DISPOSED, Act.IDENTITY_SHOWN, Act.READING_QUARANTINED, Act.TOLD_LOCALLY}
)
"""What is done about patients. Everything else is technical: boxes, keys, accounts, orders, the record itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for; "" or None: whatever. `before` is the number of an entry, exclusive; times are ms UTC."""

    act: str = ""
    by: str = ""
    on: str = ""
    since: int | None = None
    until: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One act as it is read: on what, about whose alert, and the rest of its words.

    Pseudonyms stand in it where the reader may have them, `patient` is "" elsewhere.
    """

    entry: Entry
    on: str
    patient: str
    details: tuple[tuple[str, str], ...]

    @property
    def why(self) -> str:
        """The reason that was given, "" for none."""
        return dict(self.details).get("reason", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of acts, newest first; `older` is where the next page begins, None when there is none."""

    lines: tuple[Line, ...]
    older: int | None


class Reader:
    """What one visitor may read of the record."""

    def __init__(self, connection: Sql, visit: Visit) -> None:
        self._connection = connection
        self._visit = visit
        user, team = visit.member()
        self._team, self._own = team.pk, user.name
        log = AuditLog(connection)
        names = {tag: value for tag, (value, _) in log.names().items()}
        of_team, of_others = self._patients()
        self._of_team = frozenset(tag for tag, value in names.items() if value in of_team)
        self._of_others = frozenset(tag for tag, value in names.items() if value in of_others)
        self._shown = names if self._may_name() else {}
        self._asked = {value: tag for tag, value in names.items()} if self._may_name() else {}
        self._others = self._of_others | self._other_boxes() | self._other_people()
        self._patient_of: dict[str, str] = {}

    def _may_name(self) -> bool:
        return self._visit.may_one((Action.READ_PATIENTS, Action.READ_ALL_ACTS))

    # --- whose ----------------------------------------------------------------------------------------------

    def _patients(self) -> tuple[frozenset[str], frozenset[str]]:
        rows = self._connection.execute("SELECT pseudonym, team_id FROM patient").fetchall()
        return (
            frozenset(name for name, team in rows if team == self._team),
            frozenset(name for name, team in rows if team != self._team),
        )

    def _other_boxes(self) -> frozenset[str]:
        rows = self._connection.execute("SELECT name FROM box WHERE team_id <> ?", (self._team,)).fetchall()
        return frozenset(name for (name,) in rows)

    def _other_people(self) -> frozenset[str]:
        """Return the names of people who are in other teams only."""
        rows = self._connection.execute(
            "SELECT name, max(CASE WHEN team_id = ? THEN 1 ELSE 0 END) FROM desk_membership"
            " JOIN desk_user ON desk_user.id = user_id GROUP BY name",
            (self._team,),
        ).fetchall()
        return frozenset(name for name, here in rows if not here)

    # --- reading --------------------------------------------------------------------------------------------

    def page(self, asked: Asked) -> Found:
        """Return the newest acts asked for."""
        lines: list[Line] = []
        looked = 0
        last = asked.before
        for batch in self._batches(asked):
            for entry, kept in self._kept(batch, asked):
                looked += 1
                last = entry.n
                if kept:
                    lines.append(self._line(entry))
                    if len(lines) == PAGE:
                        return Found(lines=tuple(lines), older=last)
            if looked >= LOOKED_AT:
                return Found(lines=tuple(lines), older=last)
        return Found(lines=tuple(lines), older=None)

    def all(self, asked: Asked) -> Iterator[Line]:
        """Yield every act asked for, newest first, as many as an export holds."""
        count = 0
        for batch in self._batches(asked):
            for entry, kept in self._kept(batch, asked):
                if kept:
                    yield self._line(entry)
                    count += 1
                    if count == MOST_EXPORTED:
                        return

    def _batches(self, asked: Asked) -> Iterator[list[Entry]]:
        before = 2**62 if asked.before is None else asked.before
        while True:
            rows = self._connection.execute(
                "SELECT body FROM audit WHERE n < ? AND (? = '' OR act = ?) AND at >= ? AND at < ?"
                " ORDER BY n DESC LIMIT ?",
                (
                    before,
                    asked.act,
                    asked.act,
                    -(2**53) if asked.since is None else asked.since,
                    2**53 if asked.until is None else asked.until,
                    _BATCH,
                ),
            ).fetchall()
            batch = [msgspec.json.decode(body, type=Entry) for (body,) in rows]
            if not batch:
                return
            yield batch
            before = batch[-1].n

    def _kept(self, batch: Sequence[Entry], asked: Asked) -> Iterator[tuple[Entry, bool]]:
        alerts, orders = self._looked_up(batch)
        wanted = {asked.on, self._asked.get(asked.on, asked.on)}
        wanted |= {alert for alert, patient in self._patient_of.items() if patient == asked.on}
        for entry in batch:
            tokens = {entry.by, entry.ref, *(str(value) for value in entry.detail.values())}
            team = alerts.get(entry.ref, orders.get(entry.ref))
            kept = (
                not tokens & self._others
                and team in {None, self._team}
                and (not asked.by or entry.by == asked.by)
                and (not asked.on or bool(tokens & wanted))
                and self._may_read(entry, tokens, on_alert=entry.ref in alerts)
            )
            yield entry, kept

    def _may_read(self, entry: Entry, tokens: set[str], *, on_alert: bool) -> bool:
        visit = self._visit
        if visit.may(Action.READ_ALL_ACTS):
            return True
        if visit.may(Action.READ_OWN_ACTS) and entry.by == self._own:
            return True
        if visit.may(Action.READ_ACTS_ON_PATIENTS) and (on_alert or tokens & self._of_team):
            return True
        return visit.may(Action.READ_TECHNICAL_ACTS) and entry.act not in _CARE

    def _looked_up(self, batch: Sequence[Entry]) -> tuple[dict[str, int], dict[str, int]]:
        """Return the team of each alert, and of each order, that these entries are about."""
        refs = sorted({entry.ref for entry in batch if entry.ref})
        if not refs:
            return {}, {}
        marks = ",".join("?" * len(refs))
        alerts = self._connection.execute(
            "SELECT alert.id, alert.team_id, pseudonym FROM alert"  # noqa: S608 - question marks
            f" LEFT JOIN patient ON patient.id = patient_id WHERE alert.id IN ({marks})",
            refs,
        ).fetchall()
        if self._may_name():
            self._patient_of |= {alert: name for alert, _, name in alerts if name}
        orders = self._connection.execute(
            f"SELECT command.id, team_id FROM command JOIN box ON box.id = box_id WHERE command.id IN ({marks})",  # noqa: S608
            refs,
        ).fetchall()
        return {alert: team for alert, team, _ in alerts}, dict(orders)

    def _line(self, entry: Entry) -> Line:
        return Line(
            entry=entry,
            on=self._said(entry.ref),
            patient=self._patient_of.get(entry.ref, ""),
            details=tuple((name, self._detail(name, value)) for name, value in entry.detail.items()),
        )

    def _detail(self, name: str, value: str | int) -> str:
        return iso(value) if name == "until" and isinstance(value, int) else self._said(str(value))

    def _said(self, value: str) -> str:
        """Return what a tag stands for where the reader may know, and a tag or a hash by its beginning."""
        text = self._shown.get(value, value)
        digits = text.removeprefix("~")
        is_hash = len(digits) >= 32 and all(digit in "0123456789abcdef" for digit in digits)
        return f"{text[:12]}…" if is_hash else text


def as_csv(lines: Iterable[Line]) -> Iterator[str]:
    """Yield acts as a table that a spreadsheet opens: times in ISO 8601 ending in Z."""
    yield _row(("number", "at", "act", "by", "on", "patient", "details"))
    for line in lines:
        details = "; ".join(f"{name}={value}" for name, value in line.details)
        yield _row(
            (str(line.entry.n), iso(line.entry.at), line.entry.act, line.entry.by, line.on, line.patient, details)
        )


def _row(cells: Iterable[str]) -> str:
    written = io.StringIO()
    # A cell that begins so would be a formula of whoever wrote it.
    csv.writer(written).writerow(
        [f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell for cell in cells]
    )
    return written.getvalue()


def as_json_lines(lines: Iterable[Line]) -> Iterator[str]:
    """Yield acts as one line of JSON each."""
    for line in lines:
        entry = line.entry
        found = {
            "number": entry.n,
            "at": iso(entry.at),
            "act": entry.act,
            "by": entry.by,
            "on": line.on,
            "patient": line.patient,
            "details": dict(line.details),
        }
        yield json.dumps(found, ensure_ascii=False) + "\n"

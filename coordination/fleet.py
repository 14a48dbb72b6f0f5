"""How each box is, for whoever runs the fleet: no patient, no reading, no alert.

Read from the team's database only. Times in ms UTC; what a box says of itself is by its own clock and shown as such
nowhere. Not here: alerts about boxes (`view`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tabulate import tabulate

from alerting.alert import Sentence
from coordination.box_identity import SIGNING, Listed
from coordination.canary import CANARY_MISSING
from coordination.lines import iso
from coordination.place import Place
from coordination.sql import Sql
from coordination.tables import Language, local, said
from coordination.team_database import ERRORS, as_error, connect_to_read
from coordination.team_origin import is_origin

DAY_MS = 86_400_000


class Standing(StrEnum):
    """What a box is to the team."""

    ENROLLED = "enrolled"
    INVITED = "invited"
    """A code waits for it."""
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """It has no key that holds: nothing that it says is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxLine:
    """One box.

    Attributes:
        state: what it last said, or its broker for it: "online", "offline"; None when it was never heard.
        heard_at: when it last said something new, None before.
        certificate_until: None for a certificate that was not issued by an enrolment.
        version: of its software.
        backlog: records that it keeps and that the team has not.
        silent: whether an alert stands for its silence.
        canary_at: when its last canary came, None before.
        mute: whether an alert stands because it did not.
        ahead: by how much its clock was ahead of the team's at its last sign of life, ms, with the way of the message
            (negative: behind); None while it is offline.
        keys_since: since when it signs with the key of now; None for a key that was never enrolled.
    """

    box: str
    standing: Standing
    state: str | None
    heard_at: int | None
    certificate_until: int | None
    version: str | None
    backlog: int | None
    silent: bool
    canary_at: int | None = None
    mute: bool = False
    ahead: int | None = None
    keys_since: int | None = None

    def as_json(self) -> dict[str, object]:
        """Return plain values; times in ISO 8601 ending in Z."""
        return {
            "box": self.box,
            "standing": self.standing,
            "state": self.state,
            "heard_at": None if self.heard_at is None else iso(self.heard_at),
            "certificate_until": None if self.certificate_until is None else iso(self.certificate_until),
            "version": self.version,
            "backlog": self.backlog,
            "silent": self.silent,
            "canary_at": None if self.canary_at is None else iso(self.canary_at),
            "canary_missing": self.mute,
        }


STANDING: Mapping[Standing, Sentence] = {
    Standing.ENROLLED: Sentence(fr="enrôlé", en="enrolled"),
    Standing.INVITED: Sentence(fr="code en attente", en="code waiting"),
    Standing.REVOKED: Sentence(fr="révoqué", en="revoked"),
    Standing.UNKNOWN: Sentence(fr="sans clé", en="no key"),
}
_STATE = {
    "online": Sentence(fr="en ligne", en="online"),
    "offline": Sentence(fr="hors ligne", en="offline"),
}
_HEADERS = {
    Language.FR: (
        "Boîtier",
        "Situation",
        "État",
        "Dernier message",
        "Certificat jusqu'au",
        "Version",
        "En attente",
        "Relevé témoin",
    ),
    Language.EN: ("Box", "Standing", "State", "Last message", "Certificate until", "Version", "Waiting", "Canary"),
}
_SILENT = Sentence(fr="MUET", en="SILENT")
_MISSING = Sentence(fr="ABSENT", en="MISSING")
_ENDED = Sentence(fr="FINI", en="ENDED")
_SOON = Sentence(fr="bientôt", en="soon")


def boxes(
    database: Place, listed: Listed, *, at: int, team: int | None = None, box: str | None = None
) -> tuple[BoxLine, ...]:
    """Return every box, by name.

    Args:
        database: the team's.
        listed: the boxes of desk.toml.
        at: ms UTC, real time.
        team: of this team only.
        box: this one only.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: the database cannot be read.
    """
    connection = connect_to_read(database)
    try:
        rows = connection.execute(
            "SELECT box.name, box_status.state, heard_at, version, backlog,"
            " (SELECT max(not_after) FROM box_certificate AS held"
            " WHERE held.box_id = box.id AND held.revoked_at IS NULL),"
            # Asked once for all boxes, not once for each: codes have no index by box, and a fleet's alerts are many. Of
            # these, the few that are about no patient lie together.
            " box.id IN (SELECT box_id FROM enrolment"
            " WHERE state IN ('open', 'claimed', 'confirmed') AND expires_at > ?),"
            " EXISTS (SELECT 1 FROM device_silence WHERE device_silence.box_id = box.id AND device_id IS NULL"
            ' AND "to" IS NULL), canary_at,'
            " box.id IN (SELECT box_id FROM alert WHERE patient_id IS NULL AND rule_id = ? AND resolved_at IS NULL),"
            " CASE WHEN box_status.state = 'online' THEN box_status.at - box_status.received_at END"
            " FROM box LEFT JOIN box_status ON box_status.box_id = box.id"
            " WHERE (? IS NULL OR box.team_id = ?) AND (? IS NULL OR box.name = ?) ORDER BY box.name",
            (at, CANARY_MISSING, team, team, box, box),
        ).fetchall()
        keys = _signing_keys(connection, box)
        return tuple(_line(row, keys.get(row[0], ()), listed.get(row[0], {})) for row in rows if not is_origin(row[0]))
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()


def _signing_keys(connection: Sql, box: str | None) -> dict[str, list[tuple[str, int, bool, bool]]]:
    """Return (key, since, whether it counts no more, whether it was revoked) of each box that ever enrolled."""
    found: dict[str, list[tuple[str, int, bool, bool]]] = {}
    for name, key, since, ended_at, revoked_at in connection.execute(
        "SELECT box.name, key, since, ended_at, revoked_at FROM box_key JOIN box ON box.id = box_id"
        " WHERE purpose = ? AND (? IS NULL OR box.name = ?)",
        (SIGNING, box, box),
    ):
        gone = ended_at is not None or revoked_at is not None
        found.setdefault(name, []).append((key, since, gone, revoked_at is not None))
    return found


def _line(row: Any, keys: Sequence[tuple[str, int, bool, bool]], listed: Mapping[str, bytes]) -> BoxLine:  # noqa: ANN401
    held = [since for _, since, gone, _ in keys if not gone]
    enrolled = bool(held) or bool(listed.keys() - {key for key, *_ in keys})
    if enrolled:
        standing = Standing.ENROLLED
    elif row[6]:
        standing = Standing.INVITED
    else:
        standing = Standing.REVOKED if any(revoked for *_, revoked in keys) else Standing.UNKNOWN
    return BoxLine(
        box=row[0],
        standing=standing,
        state=row[1],
        heard_at=row[2],
        version=row[3],
        backlog=row[4],
        certificate_until=row[5],
        silent=bool(row[7]),
        canary_at=row[8],
        mute=bool(row[9]),
        ahead=row[10],
        keys_since=max(held, default=None),
    )


def box_table(lines: tuple[BoxLine, ...], language: Language, *, at: int) -> str:
    """Return the boxes as a table: those first that somebody must look at."""
    ordered = sorted(
        lines, key=lambda line: (not line.silent, not line.mute, line.certificate_until or 2**62, line.box)
    )
    rows = [
        (
            line.box,
            said(STANDING[line.standing], language),
            "-" if line.state is None else said(_STATE.get(line.state, Sentence(fr="?", en="?")), language),
            _heard(line, language),
            _until(line, language, at),
            line.version or "-",
            "-" if line.backlog is None else str(line.backlog),
            _canary(line, language),
        )
        for line in ordered
    ]
    return str(tabulate(rows, headers=_HEADERS[language], tablefmt="simple", disable_numparse=True))


def _heard(line: BoxLine, language: Language) -> str:
    heard = "-" if line.heard_at is None else local(line.heard_at, language)
    return f"{heard} {said(_SILENT, language)}" if line.silent else heard


def _canary(line: BoxLine, language: Language) -> str:
    came = "-" if line.canary_at is None else local(line.canary_at, language)
    return f"{came} {said(_MISSING, language)}" if line.mute else came


def _until(line: BoxLine, language: Language, at: int) -> str:
    """Return until when its certificate holds; a box renews it at 60 days, so that 30 left mean that it does not."""
    if line.certificate_until is None or line.standing is not Standing.ENROLLED:
        return "-"
    until = local(line.certificate_until, language)
    if line.certificate_until <= at:
        return f"{until} {said(_ENDED, language)}"
    return f"{until} ({said(_SOON, language)})" if line.certificate_until - at < 30 * DAY_MS else until

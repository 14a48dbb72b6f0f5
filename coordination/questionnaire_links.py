"""Links to questionnaires: each leads one person, once, to the questions that were meant for them. No account.

- What stands in a link is 192 random bits. The database has their SHA-256 only: whoever reads it can open no link.
- A link is answered once, until it expires, and not after another was made of the same questionnaire for the patient.
  Looking at it changes nothing: whatever previews links in messages spends none.
- Its page says nothing of the patient.

What is not here: the page (desk.views.questionnaire), what answers become (answers), and sending (link_relay).
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from coordination.audit_log import AuditLog
from coordination.questionnaires import Questionnaire, questionnaire
from coordination.sql import Sql
from exchange.audit_chain import Act, Erasable

TOKEN_BYTES = 24
HOUR_MS = 3_600_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_LABEL = b"veilleur/v1/questionnaire-link\x00"
GUESSES = 20
"""Links that do not exist, asked for by one address within an hour, after which it is told to wait."""


class Way(StrEnum):
    """How a link reaches the person."""

    HAND = "hand"
    """Somebody of the team gives it: shows the QR, reads it out, copies it into a message of their own."""
    RELAY = "relay"
    """The command of `desk.relay` sends it."""


class LinkState(StrEnum):
    """How a link stands."""

    QUEUED = "queued"
    """The relay sends it; it can be answered as soon as it has arrived, whatever the relay says of it."""
    OPEN = "open"
    ANSWERED = "answered"
    REVOKED = "revoked"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link.

    Attributes:
        row: of the link.
        patient: row of whom it is for.
        pseudonym: theirs.
        team: row of their team.
        questionnaire: the version that it leads to.
        state: how it stands.
        token_hash: SHA-256 of what stands in it; "" before it is made.
        made_at: ms UTC.
        expires_at: ms UTC, not included.
        answered_at: ms UTC, None before.
    """

    row: int
    patient: int
    pseudonym: str
    team: int
    questionnaire: Questionnaire
    state: LinkState
    token_hash: str
    made_at: int
    expires_at: int
    answered_at: int | None

    def answerable(self, now: int) -> bool:
        """Return whether it can still be answered at `now` (ms UTC)."""
        return self.state in {LinkState.OPEN, LinkState.QUEUED} and now < self.expires_at


def hash_of(token: str) -> str:
    """Return what the database keeps of a link."""
    return hashlib.sha256(_LABEL + token.encode()).hexdigest()


def make(connection: Sql, patient: int, asked: Questionnaire, *, by: str, at: int) -> str:
    """Make a link for somebody of the team to hand over, in a transaction; return what stands in it, this once.

    Links of the same questionnaire that this patient has not answered are void from here on.

    Args:
        connection: in a transaction.
        patient: row of whom it is for.
        asked: what it leads to.
        by: who made it.
        at: ms UTC.
    """
    _void(connection, patient, asked.name)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    connection.execute(
        "INSERT INTO questionnaire_link (patient_id, questionnaire, questionnaire_version, state, token_hash, way,"
        " made_by, made_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            patient,
            asked.name,
            asked.version,
            LinkState.OPEN.value,
            hash_of(token),
            Way.HAND.value,
            by,
            at,
            at + asked.valid_hours * HOUR_MS,
        ),
    )
    _enter(connection, Act.QUESTIONNAIRE_SENT, patient, asked, by=by, at=at, way=Way.HAND)
    return token


def queue(connection: Sql, patient: int, asked: Questionnaire, *, by: str, at: int) -> None:
    """Let the relay send a link; it is made as it leaves. Args: see `make`."""
    _void(connection, patient, asked.name)
    connection.execute(
        "INSERT INTO questionnaire_link (patient_id, questionnaire, questionnaire_version, state, way, made_by,"
        " made_at, expires_at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            patient,
            asked.name,
            asked.version,
            LinkState.QUEUED.value,
            Way.RELAY.value,
            by,
            at,
            at + asked.valid_hours * HOUR_MS,
            at,
        ),
    )
    _enter(connection, Act.QUESTIONNAIRE_SENT, patient, asked, by=by, at=at, way=Way.RELAY)


def _void(connection: Sql, patient: int, name: str) -> None:
    connection.execute(
        "UPDATE questionnaire_link SET state = ? WHERE patient_id = ? AND questionnaire = ? AND state IN (?, ?)",
        (LinkState.REVOKED.value, patient, name, LinkState.OPEN.value, LinkState.QUEUED.value),
    )


def void_all(connection: Sql, patient: int) -> None:
    """Let no link of a patient be answered any more."""
    connection.execute(
        "UPDATE questionnaire_link SET state = ? WHERE patient_id = ? AND state IN (?, ?)",
        (LinkState.REVOKED.value, patient, LinkState.OPEN.value, LinkState.QUEUED.value),
    )


def find(connection: Sql, token: str) -> Link | None:
    """Return the link of a token, None when there is none."""
    if not _TOKEN.fullmatch(token):
        return None
    row = connection.execute(
        "SELECT questionnaire_link.id, patient_id, pseudonym, team_id, questionnaire, questionnaire_version, state,"
        " token_hash, made_at, expires_at, answered_at FROM questionnaire_link"
        " JOIN patient ON patient.id = patient_id WHERE token_hash = ?",
        (hash_of(token),),
    ).fetchone()
    if row is None:
        return None
    number, patient, pseudonym, team, name, version, state, token_hash, made_at, expires_at, answered_at = row
    return Link(
        row=number,
        patient=patient,
        pseudonym=pseudonym,
        team=team,
        questionnaire=questionnaire(name, version),
        state=LinkState(state),
        token_hash=token_hash,
        made_at=made_at,
        expires_at=expires_at,
        answered_at=answered_at,
    )


def spend(connection: Sql, link: Link, *, at: int) -> bool:
    """Let a link be answered, in a transaction; False when it was already, or no longer can be (`at`: ms UTC)."""
    spent = connection.execute(
        "UPDATE questionnaire_link SET state = ?, answered_at = ?"
        " WHERE id = ? AND token_hash = ? AND state IN (?, ?) AND expires_at > ?",
        (
            LinkState.ANSWERED.value,
            at,
            link.row,
            link.token_hash,
            LinkState.OPEN.value,
            LinkState.QUEUED.value,
            at,
        ),
    ).rowcount
    if spent:
        asked = link.questionnaire
        _enter(connection, Act.QUESTIONNAIRE_ANSWERED, link.patient, asked, by="link", at=at, way=None)
    return bool(spent)


def must_wait(connection: Sql, source: str, *, at: int) -> bool:
    """Return whether an address has asked too often for links that do not exist (`at`: ms UTC).

    Whoever holds a good link never waits: only what does not exist is counted, so that nobody is kept out by others.
    """
    count = connection.execute(
        "SELECT count(*) FROM questionnaire_guess WHERE source = ? AND at > ?", (source, at - HOUR_MS)
    ).fetchone()[0]
    return int(count) >= GUESSES


def count_guess(connection: Sql, source: str, *, at: int) -> None:
    """Count that an address asked for a link that does not exist, in a transaction (`at`: ms UTC)."""
    connection.execute("DELETE FROM questionnaire_guess WHERE at <= ?", (at - HOUR_MS,))
    connection.execute("INSERT INTO questionnaire_guess (at, source) VALUES (?, ?)", (at, source))


def _enter(connection: Sql, act: Act, patient: int, asked: Questionnaire, *, by: str, at: int, way: Way | None) -> None:
    pseudonym = connection.execute("SELECT pseudonym FROM patient WHERE id = ?", (patient,)).fetchone()[0]
    log = AuditLog(connection)
    log.begin(at=at)
    detail = {"questionnaire": f"{asked.name} v{asked.version}"} | ({} if way is None else {"way": way.value})
    log.enter(act, at=at, by=by, reference=Erasable(value=pseudonym), detail=detail)

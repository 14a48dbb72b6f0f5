"""Sending links: a command of the team's own, off until somebody names it, that hands a message to their SMS or e-mail.

The desk knows no telephone number: the command is told the pseudonym, and finds the person in the establishment's own
directory. It reads one JSON object on its standard input (patient, link, fr, en, expires_at) and answers by its exit
code: 0 once the message is accepted. Anything else is tried again, with a link made anew, and given up after a day.

A link is made as it leaves: the database never has it. What the command prints is neither kept nor logged.
"""

import logging
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe

import msgspec
from msgspec import Struct

from coordination.questionnaire_links import TOKEN_BYTES, LinkState, hash_of, queue
from coordination.questionnaires import questionnaire
from coordination.self_report import DAY_MS
from coordination.self_report_judging import Within
from coordination.sql import Sql

logger = logging.getLogger(__name__)

LONGEST_S = 30.0
"""Seconds that the command may take."""
PAUSES_MS = tuple(minutes * 60_000 for minutes in (1, 5, 30, 120, 480, 720))
"""Between one attempt and the next; after the last one it is given up."""
MOST = 20
"""Links sent in one look."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Message(Struct, frozen=True, kw_only=True):
    """What the command reads."""

    patient: str
    link: str
    fr: str
    en: str
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The team's command, and the address under which its pages are reached from outside, without a / at its end."""

    command: Sequence[str]
    address: str

    def send(self, message: Message) -> bool:
        """Run the command; return whether it accepted the message."""
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
                list(self.command),
                input=msgspec.json.encode(message),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LONGEST_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            logger.warning("the relay of links cannot be used: %s", type(error).__name__)
            return False
        return done.returncode == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaving:
    row: int
    token_hash: str
    attempts: int
    message: Message


def queue_due(connection: Sql, *, at: int) -> None:
    """Queue the links that are due by their patient's rhythm, in a transaction (`at`: ms UTC)."""
    rows = connection.execute(
        "SELECT patient_id, questionnaire, every_days, next_link_at FROM self_report WHERE next_link_at <= ?"
        " AND way = 'relay' AND ended_at IS NULL AND since IS NOT NULL ORDER BY next_link_at",
        (at,),
    ).fetchall()
    for patient, name, every_days, due in rows:
        # At the same hour; days on which nothing ran are not made up for.
        step = every_days * DAY_MS
        connection.execute(
            "UPDATE self_report SET next_link_at = ? WHERE patient_id = ?",
            (due + ((at - due) // step + 1) * step, patient),
        )
        queue(connection, patient, questionnaire(name), by="rhythm", at=at)


def send_due(within: Within, relay: Relay, *, now: Callable[[], int]) -> int:
    """Send the links whose turn it is; return how many were accepted.

    Args:
        within: opens one transaction.
        relay: sends.
        now: ms UTC.
    """
    accepted = 0
    for _ in range(MOST):
        with within() as connection:
            leaving = _leave(connection, relay, now())
        if leaving is None:
            break
        went = relay.send(leaving.message)
        accepted += went
        given_up = leaving.attempts > len(PAUSES_MS)
        if went or given_up:
            state = LinkState.OPEN if went else LinkState.FAILED
            with within() as connection:
                connection.execute(
                    "UPDATE questionnaire_link SET state = ?, next_at = NULL"
                    " WHERE id = ? AND state = ? AND token_hash = ?",
                    (state.value, leaving.row, LinkState.QUEUED.value, leaving.token_hash),
                )
    return accepted


def _leave(connection: Sql, relay: Relay, at: int) -> _Leaving | None:
    """Make the next link that is to be sent; a crash from here on has it made and sent anew."""
    row = connection.execute(
        "SELECT questionnaire_link.id, pseudonym, questionnaire, questionnaire_version, attempts"
        " FROM questionnaire_link JOIN patient ON patient.id = patient_id"
        " WHERE state = 'queued' AND next_at <= ? ORDER BY next_at LIMIT 1",
        (at,),
    ).fetchone()
    if row is None:
        return None
    number, pseudonym, name, version, attempts = row
    asked = questionnaire(name, version)
    token = token_urlsafe(TOKEN_BYTES)
    expires_at = at + asked.valid_hours * 3_600_000
    connection.execute(
        "UPDATE questionnaire_link SET token_hash = ?, attempts = attempts + 1, expires_at = ?, next_at = ?"
        " WHERE id = ?",
        (hash_of(token), expires_at, at + PAUSES_MS[min(attempts, len(PAUSES_MS) - 1)], number),
    )
    link = f"{relay.address}/q/{token}"
    return _Leaving(
        row=number,
        token_hash=hash_of(token),
        attempts=attempts + 1,
        message=Message(
            patient=pseudonym,
            link=link,
            fr=f"Votre équipe de soins vous pose quelques questions : {link} Ce n'est pas un service d'urgence.",
            en=f"Your care team asks you a few questions: {link} This is not an emergency service.",
            expires_at=(_EPOCH + timedelta(milliseconds=expires_at)).isoformat(timespec="seconds"),
        ),
    )

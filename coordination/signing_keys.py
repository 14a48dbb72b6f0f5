"""The signing keys that people keep at the desk: wrapped under a PIN, opened in memory for one act, tried few times.

- A PIN is counted as tried before it is: whoever tries many at once is counted as many. After five wrong ones in a row
  nobody may try for a quarter of an hour, then for twice as long after each, up to a day.
- Opening one takes 256 MiB and a second: two are opened at a time, whoever comes then waits, and is told if it lasts.
- A key that was forgotten is replaced by a new one; the root must put that in the team's list before a box knows it.

docs/adr/0037 says why they lie here and what that does not defend against. Not here: wrapping (person_key), and
signing (drafts).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.person_key import Cost, PersonKey, WrongPinError, new_wrapped_key, public_part, unwrap_key
from coordination.sql import Sql
from exchange.audit_chain import Act
from exchange.identity import SigningKey

FREE_TRIES = 5
FIRST_PAUSE_MS = 15 * 60_000
LONGEST_PAUSE_MS = 86_400_000
_AT_ONCE = threading.BoundedSemaphore(2)
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptKey:
    """A key as it is kept: its public part, its wrapped content, when it was made (ms UTC)."""

    key: PersonKey
    wrapped: bytes
    made_at: int


def key_of(connection: Sql, user: int) -> KeptKey | None:
    """Return the key of an account, None when it has none."""
    row = connection.execute("SELECT wrapped, made_at FROM person_key WHERE user_id = ?", (user,)).fetchone()
    if row is None:
        return None
    wrapped = str(row[0]).encode()
    return KeptKey(key=public_part(wrapped), wrapped=wrapped, made_at=row[1])


def make_key(name: str, pin: str, *, cost: Cost | None = None) -> bytes:
    """Return a new key, wrapped, outside any transaction: it takes a second.

    Raises:
        CoordinationError: the PIN is too easy, or too many are at it.
    """
    with _taking_turns():
        return new_wrapped_key(name=name, pin=pin, cost=cost)


def keep_key(connection: Sql, wrapped: bytes, *, by: Handler, at: int) -> PersonKey:
    """Keep a new key of an account in place of the one before, inside a transaction of the caller's."""
    made = public_part(wrapped)
    connection.execute("DELETE FROM person_key WHERE user_id = ?", (by.row,))
    connection.execute(
        "INSERT INTO person_key (user_id, key, public, name, wrapped, made_at, wrong, closed_until)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
        (by.row, made.id, made.public, made.name, wrapped.decode(), at),
    )
    connection.execute("UPDATE desk_user SET person_key = ? WHERE id = ?", (made.id, by.row))
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(Act.SIGNING_KEY_MADE, at=at, by=by.name, reference=made.id)
    return made


def count_try(connection: Sql, user: int, *, at: int) -> None:
    """Count a PIN that is about to be tried, inside a transaction of the caller's.

    Raises:
        CoordinationError: there is no key, or none may be tried now.
    """
    row = connection.execute("SELECT wrong, closed_until FROM person_key WHERE user_id = ?", (user,)).fetchone()
    if row is None:
        raise CoordinationError(
            Sentence(fr="Vous n'avez pas encore de clé de signature ici.", en="You have no signing key here yet."),
            hint=Sentence(fr="La faire dans « Ma clé de signature ».", en="Make it in 'My signing key'."),
        )
    wrong, closed_until = row
    if at < closed_until:
        minutes = -(-(closed_until - at) // 60_000)
        raise CoordinationError(
            Sentence(
                fr=f"Trop de codes faux : plus aucun essai pendant {minutes} min.",
                en=f"Too many wrong PINs: no further try for {minutes} min.",
            ),
            hint=Sentence(
                fr="Attendre, ou refaire une clé si le code est oublié.",
                en="Wait, or make a new key when the PIN is forgotten.",
            ),
        )
    wrong += 1
    pause = min(FIRST_PAUSE_MS * 2 ** min(wrong - FREE_TRIES, 16), LONGEST_PAUSE_MS) if wrong >= FREE_TRIES else 0
    connection.execute(
        "UPDATE person_key SET wrong = ?, closed_until = ? WHERE user_id = ?", (wrong, at + pause if pause else 0, user)
    )


def open_key(kept: KeptKey, pin: str) -> SigningKey:
    """Return the key for one act, outside any transaction: it takes a second.

    Raises:
        WrongPinError: the PIN is not the one.
        CoordinationError: too many are at it.
    """
    with _taking_turns():
        return unwrap_key(kept.wrapped, pin)


def tried_well(connection: Sql, user: int) -> None:
    """Forget the wrong PINs before the right one, inside a transaction of the caller's."""
    connection.execute("UPDATE person_key SET wrong = 0, closed_until = 0 WHERE user_id = ?", (user,))


def tried_wrong(connection: Sql, kept: KeptKey, *, by: Handler, at: int) -> None:
    """Enter a wrong PIN into the record of acts, inside a transaction of the caller's."""
    log = AuditLog(connection)
    log.begin(at=at)
    if log.has_room_for(Act.SIGNING_REFUSED, at=at):
        log.enter(Act.SIGNING_REFUSED, at=at, by=by.name, reference=kept.key.id, detail={"reason": "pin"})


@contextmanager
def _taking_turns() -> Iterator[None]:
    if not _AT_ONCE.acquire(timeout=_WAIT_S):
        raise CoordinationError(
            Sentence(
                fr="Plusieurs personnes signent en même temps, le serveur n'a pas eu le temps.",
                en="Several people sign at the same time, the server had no time.",
            ),
            hint=Sentence(fr="Recommencer dans une minute.", en="Try again in a minute."),
        )
    try:
        yield
    finally:
        _AT_ONCE.release()


__all__ = [
    "KeptKey",
    "WrongPinError",
    "count_try",
    "keep_key",
    "key_of",
    "make_key",
    "open_key",
    "tried_well",
    "tried_wrong",
]

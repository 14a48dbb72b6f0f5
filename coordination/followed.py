"""Who is followed, where people at the desk and the settings both have a word.

- Whom people took on at the desk is followed by the protocol that they chose, which the database keeps; whom the
  settings name, by theirs.
- A follow-up that people ended, and a patient whom they erased, do not begin again because a file still names them.

Functions of one open database; not here: taking on, assigning and ending (patient_acts).
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from alerting.care_protocol import CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from alerting.protocol_writer import write_protocol
from coordination.attribution import Assignment
from coordination.erased_patients import is_erased
from coordination.sql import Sql


def still_followed(connection: Sql, assignments: Sequence[Assignment]) -> tuple[Assignment, ...]:
    """Return the assignments of the settings without those of patients whose follow-up ended, or who were erased."""
    ended = {
        name for (name,) in connection.execute("SELECT pseudonym FROM patient WHERE ended_at IS NOT NULL").fetchall()
    }
    return tuple(one for one in assignments if one.patient not in ended and not is_erased(connection, one.patient))


class ProtocolsAtDesk:
    """The care protocols of whom people took on, read again only when somebody's changed."""

    def __init__(self) -> None:
        self._seen: tuple[tuple[str, str], ...] = ()
        self._found: Mapping[str, CareProtocol] = MappingProxyType({})

    def of(self, connection: Sql) -> Mapping[str, CareProtocol]:
        """Return pseudonym -> protocol, for those whose protocol this version can read."""
        rows = connection.execute(
            "SELECT pseudonym, followed_by FROM patient WHERE followed_by <> '' AND ended_at IS NULL ORDER BY pseudonym"
        ).fetchall()
        now = tuple((str(name), str(chosen)) for name, chosen in rows)
        if now != self._seen:
            texts = {chosen: _text(connection, chosen) for chosen in {chosen for _, chosen in now}}
            read = {chosen: _read(text) for chosen, text in texts.items() if text is not None}
            self._found = MappingProxyType(
                {name: found for name, chosen in now if (found := read.get(chosen)) is not None}
            )
            self._seen = now
        return self._found


def texts_of(protocols: Iterable[CareProtocol]) -> dict[str, str]:
    """Return the text of each protocol by its hash; one that thousands of patients share is written once."""
    distinct = {one.protocol_hash: one for one in protocols}
    return {chosen: write_protocol(one) for chosen, one in distinct.items()}


def _text(connection: Sql, chosen: str) -> str | None:
    row = connection.execute("SELECT text FROM care_protocol WHERE hash = ?", (chosen,)).fetchone()
    return None if row is None else str(row[0])


def _read(text: str) -> CareProtocol | None:
    try:
        return read_protocol(text.encode(), name_hint="care_protocol")
    except ProtocolError:
        return None

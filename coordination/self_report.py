"""Whom the team follows by questionnaire, and by which care protocol: what people decide about it.

- One person proposes, another one confirms: thresholds are two people's (DECISIONS 19). Until then nothing is judged.
- A protocol that judges answers is the team's, beside the one that the patient's box applies: it has another name, so
  that their alerts are never taken for each other, and one questionnaire asks all that it judges.
- Every act says which version of the row its person looked at; when it has changed since, nothing is done.

What is not here: judging (self_report_judging), links (questionnaire_links), who may (desk.access).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import read_protocol
from alerting.protocol_writer import write_protocol
from coordination.audit_log import AuditLog
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.protocol_sources import pack_bytes, packaged_protocols, protocol_bytes
from coordination.questionnaire_links import Way, void_all
from coordination.questionnaires import Questionnaire, asking
from coordination.sql import Sql
from exchange.audit_chain import Act, Erasable

DAY_MS = 86_400_000
_NOWHERE = Path()
"""Protocols that ship are in no folder."""
LONGEST_DAYS = 31
"""Days from one link to the next, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathway:
    """A care protocol that judges answers, and a questionnaire that asks all of them."""

    protocol: CareProtocol
    questionnaire: Questionnaire


class SelfReportError(CoordinationError):
    """What was asked for cannot be done."""


@cache
def pathways() -> tuple[Pathway, ...]:
    """Return the pathways that ship: each protocol that judges answers, with the first questionnaire that asks them.

    Read once a process: what ships does not change under it.

    Raises:
        CoordinationError: a file that ships is not as it must be.
    """
    found = []
    for name in packaged_protocols():
        if b"symptom_" not in protocol_bytes(name, _NOWHERE):
            continue
        protocol = read_protocol(
            protocol_bytes(name, _NOWHERE), name_hint=name, packs=lambda pack: pack_bytes(pack, _NOWHERE)
        )
        if protocol.asked:
            found += [Pathway(protocol=protocol, questionnaire=one) for one in asking(protocol.asked)[:1]]
    return tuple(found)


def pathway(name: str) -> Pathway:
    """Return the pathway of a protocol.

    Raises:
        SelfReportError: there is none.
    """
    known = pathways()
    found = next((one for one in known if one.protocol.name == name), None)
    if found is None:
        names = ", ".join(one.protocol.name for one in known)
        raise SelfReportError(
            Sentence(fr="Ce suivi n'existe pas.", en="There is no such follow-up."),
            hint=Sentence(fr=f"Choisir parmi : {names}.", en=f"Choose one of: {names}."),
        )
    return found


def propose(connection: Sql, patient: int, chosen: Pathway, *, by: Handler, seen: int, at: int) -> bool:
    """Propose to follow a patient; False when somebody changed the row since, or the follow-up is under way.

    Args:
        connection: in a transaction.
        patient: their row.
        chosen: by which protocol and questionnaire.
        by: who proposes.
        seen: the version of the row that they looked at, -1 for none.
        at: ms UTC.
    """
    protocol = chosen.protocol
    row = connection.execute(
        "SELECT version, since, ended_at FROM self_report WHERE patient_id = ?", (patient,)
    ).fetchone()
    if row is not None and (row[0] != seen or (row[1] is not None and row[2] is None)):
        return False
    if row is None and seen != -1:
        return False
    text = write_protocol(protocol)
    connection.execute(
        "INSERT INTO care_protocol (hash, text, first_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (protocol.protocol_hash, text, at),
    )
    connection.execute(
        "INSERT INTO self_report (patient_id, questionnaire, protocol, protocol_hash, protocol_text, proposed_by,"
        " proposed_id, proposed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (patient_id) DO UPDATE SET questionnaire = excluded.questionnaire,"
        " protocol = excluded.protocol, protocol_hash = excluded.protocol_hash,"
        " protocol_text = excluded.protocol_text, proposed_by = excluded.proposed_by,"
        " proposed_id = excluded.proposed_id,"
        " proposed_at = excluded.proposed_at, confirmed_by = '', since = NULL, ended_at = NULL, every_days = NULL,"
        " next_link_at = NULL, cursor = 0, snapshot = NULL, due_at = NULL, judged_at = 0, attempts = 0,"
        " version = self_report.version + 1",
        (patient, chosen.questionnaire.name, protocol.name, protocol.protocol_hash, text, by.name, by.row, at),
    )
    _enter(connection, Act.SELF_REPORT_PROPOSED, patient, by=by.name, at=at)
    return True


def confirm(connection: Sql, patient: int, *, by: Handler, seen: int, at: int) -> bool:
    """Let a proposed follow-up begin; False when it is not as its person saw it, or they proposed it themselves.

    Args: see `propose`.
    """
    changed = connection.execute(
        "UPDATE self_report SET confirmed_by = ?, since = ?, due_at = ?, version = version + 1"
        " WHERE patient_id = ? AND version = ? AND since IS NULL AND ended_at IS NULL AND proposed_id <> ?",
        (by.name, at, at, patient, seen, by.row),
    ).rowcount
    if changed:
        _enter(connection, Act.SELF_REPORT_BEGUN, patient, by=by.name, at=at)
    return bool(changed)


def end(connection: Sql, patient: int, *, by: Handler, seen: int, at: int) -> bool:
    """End a follow-up, or withdraw its proposal; its links can no longer be answered. Args and False: see `propose`.

    Its alerts that stand are resolved by the next judging, which names this as why.
    """
    changed = connection.execute(
        "UPDATE self_report SET ended_at = ?, every_days = NULL, next_link_at = NULL, due_at = ?,"
        " version = version + 1 WHERE patient_id = ? AND version = ? AND ended_at IS NULL",
        (at, at, patient, seen),
    ).rowcount
    if changed:
        void_all(connection, patient)
        _enter(connection, Act.SELF_REPORT_ENDED, patient, by=by.name, at=at)
    return bool(changed)


def plan(connection: Sql, patient: int, *, every_days: int | None, way: Way, seen: int, at: int) -> bool:
    """Say how often a link is due and how it goes, None: when somebody asks. Args and False: see `propose`."""
    if every_days is not None and not 1 <= every_days <= LONGEST_DAYS:
        raise SelfReportError(
            Sentence(fr="Ce rythme n'est pas possible.", en="That rhythm is not possible."),
            hint=Sentence(fr=f"Choisir de 1 à {LONGEST_DAYS} jours.", en=f"Choose between 1 and {LONGEST_DAYS} days."),
        )
    return bool(
        connection.execute(
            "UPDATE self_report SET every_days = ?, next_link_at = ?, way = ?, version = version + 1"
            " WHERE patient_id = ? AND version = ? AND since IS NOT NULL AND ended_at IS NULL",
            (every_days, None if every_days is None else at, way.value, patient, seen),
        ).rowcount
    )


def _enter(connection: Sql, act: Act, patient: int, *, by: str, at: int) -> None:
    pseudonym, protocol, protocol_hash = connection.execute(
        "SELECT pseudonym, protocol, protocol_hash FROM self_report JOIN patient ON patient.id = patient_id"
        " WHERE patient_id = ?",
        (patient,),
    ).fetchone()
    log = AuditLog(connection)
    log.begin(at=at)
    detail = {"protocol": protocol, "hash": protocol_hash}
    log.enter(act, at=at, by=by, reference=Erasable(value=pseudonym), detail=detail)

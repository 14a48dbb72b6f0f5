"""Whom the team follows by questionnaire, and by which care protocol: what people decide about it.

- One person proposes, another one confirms: thresholds are two people's (DECISIONS 19). Until then nothing is judged;
  what is under way goes on as it is.
- A protocol that judges answers is the team's, beside the one that the patient's box applies: it has another name, so
  that their alerts are never taken for each other, and one questionnaire asks all that it judges.
- Every act says which version of the row its person looked at; when it has changed since, nothing is done.

What is not here: judging (self_report_judging), links (questionnaire_links), who may (desk.access).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import Packs, check_protocol
from alerting.protocol_writer import write_protocol
from coordination.audit_log import AuditLog
from coordination.draft_text import first_text, with_values
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.packs import FaultyError, all_packs, meaning_of
from coordination.questionnaire_links import Way, void_all
from coordination.questionnaires import Questionnaire, asking
from coordination.sql import Sql
from exchange.audit_chain import Act, Erasable

DAY_MS = 86_400_000
LONGEST_DAYS = 31
"""Days from one link to the next, at most."""
_NO_CHANGE = "change_hash = '', change_text = '', change_by = '', change_id = NULL, change_at = NULL"
"""No other thresholds are proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathway:
    """A care protocol that judges answers, and a questionnaire that asks all of them.

    `pack` is the name under which the team has it.
    """

    pack: str
    protocol: CareProtocol
    questionnaire: Questionnaire


class SelfReportError(CoordinationError):
    """What was asked for cannot be done."""


def pathways(connection: Sql, team: int) -> tuple[Pathway, ...]:
    """Return a team's pathways: each of its packs that judges answers, what its physicians made of it included."""
    packs = ((pack.name, meaning_of(connection, team, pack)) for pack in all_packs(connection, team))
    return asking_pathways({name: protocol for name, protocol in packs if protocol is not None})


def asking_pathways(packs: Mapping[str, CareProtocol]) -> tuple[Pathway, ...]:
    """Return those of some packs (by name) that judge answers, each with the first questionnaire that asks them all."""
    return tuple(
        Pathway(pack=name, protocol=protocol, questionnaire=questionnaire)
        for name, protocol in packs.items()
        if protocol.asked
        for questionnaire in asking(protocol.asked)[:1]
    )


def pathway(connection: Sql, team: int, pack: str) -> Pathway:
    """Return a pathway of a team.

    Raises:
        SelfReportError: there is none.
    """
    known = pathways(connection, team)
    found = next((one for one in known if one.pack == pack), None)
    if found is None:
        names = ", ".join(one.pack for one in known)
        raise SelfReportError(
            Sentence(fr="Ce suivi n'existe pas.", en="There is no such follow-up."),
            hint=Sentence(fr=f"Choisir parmi : {names}.", en=f"Choose one of: {names}."),
        )
    return found


def adapted(
    chosen: Pathway,
    values: Mapping[tuple[str, str], object],
    *,
    packs: Packs,
    holding: CareProtocol | None = None,
) -> Pathway:
    """Return a pathway with other numbers, within the limits of its pack.

    Args:
        chosen: the pathway.
        values: (table, key) -> as a protocol file writes it.
        packs: finds the packs of the team.
        holding: what the follow-up is judged by so far, and differs from; None: the pathway as it is.

    Raises:
        FaultyError: a number may not be so, or the pathway has changed so that this does not go with it.
    """
    text = first_text(chosen.pack, chosen.protocol, holding=holding or chosen.protocol, patient="")
    text = with_values(text, values, pack_rules=frozenset(rule.id for rule in chosen.protocol.rules))
    checked = check_protocol(text.encode(), packs=packs)
    if checked.protocol is None:
        raise FaultyError(checked.faults)
    return replace(chosen, protocol=checked.protocol)


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
    text = _kept(connection, protocol, at)
    connection.execute(
        "INSERT INTO self_report (patient_id, questionnaire, protocol, protocol_hash, protocol_text, proposed_by,"  # noqa: S608 - a constant
        " proposed_id, proposed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (patient_id) DO UPDATE SET questionnaire = excluded.questionnaire,"
        " protocol = excluded.protocol, protocol_hash = excluded.protocol_hash,"
        " protocol_text = excluded.protocol_text, proposed_by = excluded.proposed_by,"
        " proposed_id = excluded.proposed_id,"
        " proposed_at = excluded.proposed_at, confirmed_by = '', since = NULL, ended_at = NULL, every_days = NULL,"
        " next_link_at = NULL, cursor = 0, snapshot = NULL, due_at = NULL, judged_at = 0, attempts = 0,"
        f" judged_hash = '', {_NO_CHANGE}, version = self_report.version + 1",
        (patient, chosen.questionnaire.name, protocol.name, protocol.protocol_hash, text, by.name, by.row, at),
    )
    _enter(connection, Act.SELF_REPORT_PROPOSED, patient, by=by.name, at=at)
    return True


def propose_change(connection: Sql, patient: int, other: Pathway, *, by: Handler, seen: int, at: int) -> bool:
    """Propose other thresholds for a follow-up under way, which goes on by its own until somebody confirms them.

    Args and False: see `propose`; `other` is the follow-up's pathway with the numbers proposed.
    """
    protocol = other.protocol
    changed = connection.execute(
        "UPDATE self_report SET change_hash = ?, change_text = ?, change_by = ?, change_id = ?, change_at = ?,"
        " version = version + 1 WHERE patient_id = ? AND version = ? AND since IS NOT NULL AND ended_at IS NULL"
        " AND protocol = ? AND questionnaire = ? AND protocol_hash <> ?",
        (
            protocol.protocol_hash,
            _kept(connection, protocol, at),
            by.name,
            by.row,
            at,
            patient,
            seen,
            protocol.name,
            other.questionnaire.name,
            protocol.protocol_hash,
        ),
    ).rowcount
    if changed:
        _enter(connection, Act.SELF_REPORT_PROPOSED, patient, by=by.name, at=at, of="change_hash")
    return bool(changed)


def withdraw_change(connection: Sql, patient: int, *, by: Handler, seen: int, at: int) -> bool:
    """Take back thresholds that were proposed for a follow-up under way. Args and False: see `propose`."""
    waits = "SELECT 1 FROM self_report WHERE patient_id = ? AND version = ? AND change_text <> ''"
    if connection.execute(waits, (patient, seen)).fetchone() is None:
        return False
    _enter(connection, Act.SELF_REPORT_WITHDRAWN, patient, by=by.name, at=at, of="change_hash")
    connection.execute(
        f"UPDATE self_report SET {_NO_CHANGE}, version = version + 1 WHERE patient_id = ?",  # noqa: S608 - a constant
        (patient,),
    )
    return True


def confirm(connection: Sql, patient: int, *, by: Handler, seen: int, at: int) -> bool:
    """Let a proposed follow-up begin, or one under way go on by the thresholds proposed for it.

    Args: see `propose`.

    Returns:
        False when it is not as its person saw it, or they proposed it themselves.
    """
    begun = connection.execute(
        "UPDATE self_report SET confirmed_by = ?, since = ?, due_at = ?, version = version + 1"
        " WHERE patient_id = ? AND version = ? AND since IS NULL AND ended_at IS NULL AND proposed_id <> ?",
        (by.name, at, at, patient, seen, by.row),
    ).rowcount
    if begun:
        _enter(connection, Act.SELF_REPORT_BEGUN, patient, by=by.name, at=at)
        return True
    changed = connection.execute(
        "UPDATE self_report SET protocol_hash = change_hash, protocol_text = change_text, proposed_by = change_by,"  # noqa: S608 - a constant
        f" proposed_id = change_id, proposed_at = change_at, confirmed_by = ?, due_at = ?, {_NO_CHANGE}, attempts = 0,"
        " version = version + 1"
        " WHERE patient_id = ? AND version = ? AND since IS NOT NULL AND ended_at IS NULL AND change_text <> ''"
        " AND change_id <> ?",
        (by.name, at, patient, seen, by.row),
    ).rowcount
    if changed:
        _enter(connection, Act.SELF_REPORT_ADAPTED, patient, by=by.name, at=at)
    return bool(changed)


def end(connection: Sql, patient: int, *, by: Handler, seen: int, at: int) -> bool:
    """End a follow-up, or withdraw its proposal; its links can no longer be answered. Args and False: see `propose`.

    Its alerts that stand are resolved by the next judging, which names this as why.
    """
    changed = connection.execute(
        f"UPDATE self_report SET ended_at = ?, every_days = NULL, next_link_at = NULL, due_at = ?, {_NO_CHANGE},"  # noqa: S608 - a constant
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


def _kept(connection: Sql, protocol: CareProtocol, at: int) -> str:
    """Keep the text of a protocol by its hash, and return it."""
    text = write_protocol(protocol)
    connection.execute(
        "INSERT INTO care_protocol (hash, text, first_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (protocol.protocol_hash, text, at),
    )
    return text


def _enter(connection: Sql, act: Act, patient: int, *, by: str, at: int, of: str = "protocol_hash") -> None:
    pseudonym, protocol, protocol_hash = connection.execute(
        f"SELECT pseudonym, protocol, {of} FROM self_report JOIN patient ON patient.id = patient_id"  # noqa: S608 - ours
        " WHERE patient_id = ?",
        (patient,),
    ).fetchone()
    log = AuditLog(connection)
    log.begin(at=at)
    detail = {"protocol": protocol, "hash": protocol_hash}
    log.enter(act, at=at, by=by, reference=Erasable(value=pseudonym), detail=detail)

"""The workshop's page: what a patient's draft says, what is wrong with it, what a replay found, how far it is.

It is put together here from the team's database; what people do with it is coordination/drafts and draft_orders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alerting.care_protocol import CareProtocol
from alerting.errors import Fault
from alerting.protocol_file import Checked, check_protocol
from coordination.deliveries import Delivery, Stage, delivery_of
from coordination.desk.models import Patient
from coordination.desk.patients import protocol_of
from coordination.desk.replay_view import ReplayView, replay_view
from coordination.desk.shadow_view import ShadowView, shadow_view
from coordination.desk.thresholds import Changed, Group, changes_between, groups, unplaced
from coordination.draft_orders import proposed_body
from coordination.draft_text import means, pack_name_of
from coordination.drafts import DRAFT, Draft, open_draft, sent_drafts
from coordination.packs import Pack, finder, meaning_of, pack_of
from coordination.replay_jobs import JobView, newest
from coordination.sql import Sql

DAYS = (28, 90, 180, 365)
USUAL_DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent of a patient, and how far it came; None when it never entered the queue."""

    draft: Draft
    delivery: Delivery | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A patient's workshop.

    Attributes:
        holding: what the patient is judged by, None when the team does not know it.
        applied: its hash, as the box says.
        draft: what somebody works on, None.
        checked: what the draft's text means, and everything wrong with it.
        pack: what the draft inherits, None.
        limits: of that pack, what it means.
        groups: the numbers that can be set.
        changes: what the draft changes.
        job: the newest replay, None.
        replay: what it found, None before.
        stale: the draft was changed since that replay.
        sent: what was sent, newest first.
        rule: id of the rule for which the visitor came, "" for none.
        shadow: what is judged beside on the box, and what that came to.
    """

    patient: Patient
    holding: CareProtocol | None
    applied: str
    draft: Draft | None
    checked: Checked | None
    pack: Pack | None
    limits: CareProtocol | None
    groups: Sequence[Group]
    changes: Sequence[Changed]
    job: JobView | None
    replay: ReplayView | None
    stale: bool
    sent: Sequence[Sent]
    rule: str
    shadow: ShadowView

    @property
    def faults(self) -> Sequence[Fault]:
        """What keeps the draft from being tried and proposed."""
        return () if self.checked is None else self.checked.faults

    @property
    def unplaced(self) -> Sequence[Fault]:
        """Those of them that do not stand beside a number."""
        return unplaced(self.faults, self.groups)

    @property
    def step(self) -> str:
        """How far the newest matter is: draft, to_sign, signed, queued, received, applied; "" without any."""
        if self.draft is not None:
            return self.draft.state
        if self.sent and self.sent[0].delivery is not None:
            return self.sent[0].delivery.stage.value
        return ""

    @property
    def quiet(self) -> Sequence[Group]:
        """The groups that nobody has to look at first: neither high, nor changed, nor at fault, nor come for."""
        return [group for group in self.groups if not self._is_first(group)]

    @property
    def first(self) -> Sequence[Group]:
        """The others, before them the one that was come for."""
        found = [group for group in self.groups if self._is_first(group)]
        return sorted(found, key=lambda group: group.table != self.rule)

    def _is_first(self, group: Group) -> bool:
        return group.table == self.rule or group.urgent == 1 or any(one.changed or one.faults for one in group.numbers)


def coming(database: Sql, patient: Patient) -> CareProtocol | None:
    """Return what is on its way to the patient's box and not yet answered, None when nothing is.

    A draft that is begun meanwhile goes on from it: begun from what holds, it would undo what two people have signed.
    """
    for draft in sent_drafts(database, patient.team_id, patient.pk, most=1):
        delivery = delivery_of(database, draft.command_id, protocol_hash=draft.protocol_hash)
        body = proposed_body(draft)
        if delivery is not None and delivery.stage in {Stage.QUEUED, Stage.RECEIVED} and body is not None:
            return check_protocol(body.text.encode()).protocol
    return None


def workshop_of(
    database: Sql,
    patient: Patient,
    *,
    now: int,
    typed: Mapping[str, str] | None = None,
    text: str | None = None,
    rule: str = "",
) -> Workshop:
    """Return a patient's workshop.

    Args:
        database: for reading.
        patient: of the visitor's team.
        now: ms UTC.
        typed: what somebody typed into the form and was not kept.
        text: what somebody wrote in the advanced text and was not kept.
        rule: id of the rule for which somebody came.
    """
    team = patient.team_id
    holding, applied = protocol_of(patient)
    draft = open_draft(database, team, patient.pk)
    pack = checked = limits = job = replay = None
    shown: list[Group] = []
    changes: list[Changed] = []
    if draft is not None:
        written = draft.text if text is None else text
        name = pack_name_of(written)
        pack = pack_of(database, team, name) if name else None
        limits = None if pack is None else meaning_of(database, team, pack)
        checked = check_protocol(written.encode(), packs=finder(database, team))
        # What is shown of a text with faults is what was kept before it; what was typed stands over that.
        readable = checked.protocol or means(draft.text, finder(database, team)) or holding or limits
        if readable is not None:
            shown = groups(readable, limits, holding=holding, faults=checked.faults, typed=typed)
        job = newest(database, team=team, draft=draft.id)
        if checked.protocol is not None:
            changes = changes_between(holding, checked.protocol)
        if job is not None and job.result and checked.protocol is not None:
            replay = replay_view(
                database, job.result, patient=patient, holding=holding, draft=checked.protocol, days=job.days, now=now
            )
    return Workshop(
        patient=patient,
        holding=holding,
        applied=applied,
        draft=draft,
        checked=checked,
        pack=pack,
        limits=limits,
        groups=shown,
        changes=changes,
        shadow=shadow_view(database, patient, holding),
        job=job,
        replay=replay,
        stale=draft is not None and job is not None and draft.state == DRAFT and job.revision != draft.revision,
        sent=[
            Sent(draft=one, delivery=delivery_of(database, one.command_id, protocol_hash=one.protocol_hash))
            for one in sent_drafts(database, team, patient.pk)
        ],
        rule=rule,
    )

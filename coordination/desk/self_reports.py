"""What the pages show of follow-ups by questionnaire: who is followed, by what, and which answers came.

Everything is of one team, or of a patient of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import Max

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import check_protocol
from coordination.answers import SOURCE
from coordination.desk.models import Observation, Patient, QuestionnaireLink, SelfReport, SelfReportPass, Team
from coordination.questionnaire_links import LinkState
from coordination.questionnaires import Questionnaire, newest, shipped_questionnaires
from coordination.self_report_worker import LOST_MS
from coordination.tables import QUANTITIES
from devices.reading import Quantity

MOST_ANSWERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answered questionnaire: when (ms UTC), and (question's quantity, points, words) of each answer."""

    at: int
    rows: Sequence[tuple[Sentence, int, Sentence | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """How a patient is followed.

    Attributes:
        patient: who.
        row: None when nothing was ever proposed.
        protocol: what judges, or is proposed to; None when this version cannot read it any more.
        change: other thresholds that are proposed for it, None while nobody proposes any.
        questionnaire: the newest version of what is asked; None when this version does not ship it any more.
        last_link: the newest link, None without one.
        answered_at: ms UTC of the last answer, None before.
    """

    patient: Patient
    row: SelfReport | None
    protocol: CareProtocol | None
    change: CareProtocol | None
    questionnaire: Questionnaire | None
    last_link: QuestionnaireLink | None
    answered_at: int | None

    @property
    def version(self) -> int:
        """What an act says that its person looked at."""
        return -1 if self.row is None else self.row.version

    @property
    def proposed(self) -> bool:
        """Whether it waits for somebody to confirm it."""
        return self.row is not None and self.row.since is None and self.row.ended_at is None

    @property
    def running(self) -> bool:
        """Whether answers are judged."""
        return self.row is not None and self.row.since is not None and self.row.ended_at is None

    def to_hand_over(self, now: int) -> bool:
        """Return whether a link is due that somebody has to give (`now`: ms UTC)."""
        due = None if self.row is None else self.row.next_link_at
        return self.running and self.row is not None and self.row.way == "hand" and due is not None and due <= now


def follow_up(patient: Patient) -> FollowUp:
    """Return how a patient is followed."""
    return _follow_up(patient, SelfReport.objects.filter(patient=patient).first())


def follow_ups(team: Team) -> list[FollowUp]:
    """Return who of a team is followed, or is proposed to be: proposals first."""
    rows = SelfReport.objects.filter(patient__team=team, ended_at=None).select_related("patient")
    found = [_follow_up(row.patient, row) for row in rows.order_by("patient__pseudonym")]
    return sorted(found, key=lambda one: not (one.proposed or one.change))


@lru_cache(maxsize=64)
def _meaning(text: str) -> CareProtocol | None:
    return check_protocol(text.encode()).protocol


def _follow_up(patient: Patient, row: SelfReport | None) -> FollowUp:
    links = QuestionnaireLink.objects.filter(patient=patient)
    return FollowUp(
        patient=patient,
        row=row,
        protocol=None if row is None else _meaning(row.protocol_text),
        change=_meaning(row.change_text) if row is not None and row.change_text else None,
        questionnaire=None if row is None else newest().get(row.questionnaire),
        last_link=links.exclude(state=LinkState.REVOKED.value).order_by("-made_at", "-pk").first(),
        answered_at=links.aggregate(last=Max("answered_at"))["last"],
    )


def words_of(quantity: Quantity, points: int) -> Sentence | None:
    """Return what so many points of a quantity were in the newest question about it; None where several add up."""
    for one in reversed(list(shipped_questionnaires().values())):
        asked = [question for question in one.questions if question.quantity is quantity]
        if len(asked) == 1:
            return next((choice.text.sentence for choice in asked[0].choices if choice.points == points), None)
    return None


def answered(patient: Patient) -> list[Answered]:
    """Return the questionnaires that a patient answered, newest first."""
    rows = (
        Observation.objects.filter(patient=patient, source=SOURCE)
        .order_by("-t", "epoch", "seq")
        .values_list("epoch", "t", "quantity", "count")[: MOST_ANSWERS * 12]
    )
    found: dict[str, tuple[int, list[tuple[Sentence, int, Sentence | None]]]] = {}
    for epoch, at, name, count in rows:
        quantity = Quantity(name)
        found.setdefault(epoch, (at, []))[1].append((QUANTITIES[quantity], count, words_of(quantity, count)))
    return [Answered(at=at, rows=tuple(of_one)) for at, of_one in list(found.values())[:MOST_ANSWERS]]


def nobody_looks(now: int) -> bool:
    """Return whether answers are followed by somebody, and no worker has looked for minutes (`now`: ms UTC)."""
    if not SelfReport.objects.filter(ended_at=None).exclude(since=None).exists():
        return False
    last = SelfReportPass.objects.values_list("at", flat=True).first()
    return last is None or now - last > LOST_MS

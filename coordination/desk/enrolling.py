"""A box that is being enrolled, as its page shows it: how far it came, and what is to be done next.

- The code lies nowhere at the team, of whom only a hash is in the database: the browser that asked for it keeps it, in
  a cookie that no script reads and that goes to this one page.
- What was decided is read from the database, whoever wrote it there; the office may be another process.

Not here: the life of a code (coordination.enrolments), the conversation with the box (coordination.office).
"""

import socket
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q

from coordination.desk.access import Action
from coordination.desk.models import BoxStatus, Enrolment, Patient
from coordination.desk.shared_database import place as database_place
from coordination.desk.team_settings import listed_boxes
from coordination.desk.visits import Visit
from coordination.enrolments import Claim, Enrolments
from coordination.office import now_ms
from coordination.settings import EnrolmentSettings
from exchange.enrolment_code import PLACE_LENGTH, CodeError, EnrolmentCode

_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
_ASK_S = 0.3


class Stage(StrEnum):
    """How far a box came."""

    CODE = "code"
    """It has not been heard: the code is to be given to it."""
    WAITS = "waits"
    """It was heard and hung up: it is to try again."""
    DIGITS = "digits"
    """Somebody is to compare six digits."""
    HANDING = "handing"
    """They are the same; it is given what it needs."""
    ENROLLED = "enrolled"
    """It has it all, and has said nothing yet."""
    READY = "ready"
    """Its first signed message is here."""
    REFUSED = "refused"
    VOID = "void"
    EXPIRED = "expired"


OVER = frozenset({Stage.READY, Stage.REFUSED, Stage.VOID, Stage.EXPIRED})
"""Nothing more comes of the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One enrolment at a moment.

    Attributes:
        row: its row.
        stage: how far it came.
        claim: the machine whose digits are to be compared.
        left: ms for which the code still holds, never negative.
        stamp: changes whenever the page would.
    """

    row: Enrolment
    stage: Stage
    claim: Claim | None
    left: int

    @property
    def stamp(self) -> str:
        """What changes when the page does."""
        return f"{self.stage.value}-{'' if self.claim is None else self.claim.digits}"


def enrolment_of(visit: Visit, place: str) -> Enrolment | None:
    """Return an enrolment that was asked for in the visitor's team: their own, or any for whoever sees the fleet."""
    if len(place) != PLACE_LENGTH or not (place.isascii() and place.isalnum()):
        return None
    user, team = visit.member()
    mine = Q() if visit.may(Action.READ_FLEET) else Q(opened_by=user.pk)
    found = Enrolment.objects.filter(mine, team_id=team.pk, place=place).exclude(opened_by=None)
    return found.select_related("box").first()


def progress_of(row: Enrolment) -> Progress:
    """Return how far an enrolment came."""
    real = now_ms()
    claim = None
    if row.state == "claimed" and row.digits:
        with Enrolments(database_place(), listed_boxes()) as kept:
            claim = next(iter(kept.waiting(row.place)), None)
    return Progress(row=row, stage=_stage(row, claim, real), claim=claim, left=max(0, row.expires_at - real))


def _stage(row: Enrolment, claim: Claim | None, real: int) -> Stage:
    if row.state in {"open", "claimed"}:
        waits = Stage.CODE if row.state == "open" else Stage.WAITS
        # A machine that showed its keys in time may still be decided about.
        return Stage.DIGITS if claim is not None else Stage.EXPIRED if real >= row.expires_at else waits
    if row.state == "done":
        heard = BoxStatus.objects.filter(box=row.box, received_at__gte=row.decided_at or 0).exists()
        return Stage.READY if heard else Stage.ENROLLED
    return {"confirmed": Stage.HANDING, "refused": Stage.REFUSED}.get(row.state, Stage.VOID)


def code_kept(text: str, place: str) -> EnrolmentCode | None:
    """Return the code that a browser kept for this place, None when it kept none."""
    try:
        code = EnrolmentCode.read(text)
    except CodeError:
        return None
    return code if code.place == place else None


def free_patients(visit: Visit) -> list[str]:
    """Return the pseudonyms of the team's patients for whom no box transmits, for whoever may read them."""
    if not visit.may(Action.READ_PATIENTS):
        return []
    patients = Patient.objects.filter(team=visit.team, ended_at=None)
    held = patients.filter(boxassignment__isnull=False, boxassignment__until=None)
    return list(patients.exclude(pk__in=held).order_by("pseudonym").values_list("pseudonym", flat=True))


def office_answers(enrolment: EnrolmentSettings) -> bool:
    """Return whether somebody listens where boxes connect to, as far as this machine sees."""
    host = "127.0.0.1" if enrolment.listen in _ANY else enrolment.listen
    for where in dict.fromkeys((host, enrolment.host)):
        try:
            socket.create_connection((where, enrolment.port), timeout=_ASK_S).close()
        except OSError:
            continue
        return True
    return False

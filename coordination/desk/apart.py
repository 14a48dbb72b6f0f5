"""What was received and is nobody's yet: grouped by box, by whom the box names, and by why it was set apart."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec
from django.db import connection
from msgspec import Struct

from alerting.alert import Sentence
from coordination.attribution import Reason
from coordination.desk.models import Box, Patient, Team

WHY: Final = MappingProxyType(
    {
        Reason.BOX: Sentence(
            fr="le boîtier ne sait pas à qui est la mesure (appareil partagé, attribué à personne)",
            en="the box does not know whose the reading is (a shared device, given to nobody)",
        ),
        Reason.PATIENT: Sentence(fr="le boîtier n'est pas attribué à ce patient", en="the box is not this patient's"),
        Reason.DATES: Sentence(
            fr="mesuré avant ou après l'attribution du boîtier", en="measured before or after the box was theirs"
        ),
        Reason.UNIT: Sentence(
            fr="unité qui n'est pas celle de la grandeur : à signaler",
            en="a unit that is not its quantity's: report it",
        ),
        Reason.ALERT: Sentence(
            fr="alerte déjà connue comme celle d'un autre patient : à signaler",
            en="an alert that is known as another patient's: report it",
        ),
    }
)


MOST = 20_000
"""Records that are looked at, the newest; more of them wait for the same assignments."""


class _Dates(Struct, frozen=True, kw_only=True):
    """When a record set apart is of; everything else in it is nobody's to see yet."""

    measured_at: int | None = None
    raised_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Records of one box that name one patient and wait for one reason.

    Attributes:
        claimed: whom the box names.
        patient: that patient, when the team has one of that pseudonym.
        count: how many.
        first: when the oldest was measured, ms UTC.
        last: the newest.
    """

    box: Box
    claimed: str
    reason: Reason
    patient: Patient | None
    count: int
    first: int
    last: int

    @property
    def key(self) -> str:
        """What tells it from the others on the page."""
        return f"{self.box.pk}:{self.reason.value}:{self.claimed}"

    @property
    def resolvable(self) -> bool:
        """Whether an assignment would make them somebody's."""
        return self.reason in {Reason.PATIENT, Reason.DATES} and self.patient is not None

    @property
    def why(self) -> Sentence:
        """Why they wait."""
        return WHY[self.reason]


def apart_of(team: Team) -> list[Group]:
    """Return what waits of the boxes of a team, most first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT box_id, patient, reason, content FROM to_attribute JOIN box ON box.id = box_id"
            " WHERE team_id = %s ORDER BY to_attribute.stored_at DESC LIMIT %s",
            [team.pk, MOST],
        )
        times: dict[tuple[int, str, str], list[int]] = {}
        for box, claimed, reason, content in cursor.fetchall():
            dates = msgspec.json.decode(content, type=_Dates)
            at = dates.measured_at if dates.measured_at is not None else dates.raised_at
            times.setdefault((box, claimed, reason), []).append(at or 0)
    boxes = Box.objects.in_bulk([box for box, _, _ in times])
    names = {claimed for _, claimed, _ in times}
    patients = {one.pseudonym: one for one in Patient.objects.filter(team=team, pseudonym__in=names)}
    found = [
        Group(
            box=boxes[box],
            claimed=claimed,
            reason=Reason(reason),
            patient=patients.get(claimed),
            count=len(all_of_it),
            first=min(all_of_it),
            last=max(all_of_it),
        )
        for (box, claimed, reason), all_of_it in times.items()
    ]
    return sorted(found, key=lambda one: (-one.count, one.key))

"""How many boxes the team hears: what makes an empty list mean something."""

from dataclasses import dataclass

from django.db.models import Count, Max

from coordination.desk.models import Box, DeviceSilence, Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Of `boxes` that transmit for somebody, how many are silent, and when (ms UTC) the last message came from any."""

    boxes: int
    silent: int
    last_at: int | None

    @property
    def heard(self) -> int:
        """How many are not silent."""
        return self.boxes - self.silent


def heard(team: Team) -> Heard:
    """Return how many boxes of a team are heard."""
    boxes = Box.objects.filter(team=team, boxassignment__until=None, boxassignment__isnull=False).distinct()
    found = boxes.aggregate(number=Count("pk", distinct=True), last=Max("heard_at"))
    silent = DeviceSilence.objects.filter(device=None, until=None, box__in=boxes).values("box_id").distinct().count()
    return Heard(boxes=found["number"], silent=silent, last_at=found["last"])

"""Applying each team's retention (`veilleur-desk retention`): a transaction a team, then nothing left in the files."""

from collections.abc import Iterator

from coordination.desk.models import Retention, Team
from coordination.desk.shared_database import acting, outside
from coordination.patient_erasure import scour
from coordination.retention import Keeping, Kept, keep_to, overdue


def apply_retention(*, now: int, dry_run: bool = False) -> Iterator[tuple[str, Kept]]:
    """Erase what each team has kept for long enough; yield (team, what was done), in the order of their names.

    Args:
        now: ms UTC.
        dry_run: change nothing, and say how many would be erased.
    """
    chosen = {one.team_id: one for one in Retention.objects.all()}
    for team in Team.objects.order_by("name"):
        kept = chosen.get(team.pk) or Retention(team_id=team.pk)
        keeping = Keeping(archive=kept.archive_days, views=kept.view_days)
        if dry_run:
            with outside() as database:
                due = overdue(database, team.pk, keeping, now=now)
            yield team.name, Kept(patients=len(due), views=0)
            continue
        with acting() as database:
            done = keep_to(database, team.pk, keeping, now=now)
        yield team.name, done
    if not dry_run:
        with outside() as database:
            scour(database)

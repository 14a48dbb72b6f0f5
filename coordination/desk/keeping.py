"""Applying each team's retention, and replacing the key of identities: what a server does beside its pages.

A key is replaced in three steps, and a stop after any of them leaves every identity readable: the new key lies beside
the old one, all patients' keys are wrapped under it in one transaction, it takes the old one's name.
"""

from collections.abc import Iterator

from django.conf import settings

from coordination.audit_beside import account
from coordination.audit_log import AuditLog
from coordination.desk.fhir.bulk import discard
from coordination.desk.identities import vault
from coordination.desk.models import PatientKey, Retention, Team
from coordination.desk.shared_database import acting, outside
from coordination.identity_vault import begin_replacing, end_replacing
from coordination.patient_erasure import scour
from coordination.retention import Keeping, Kept, keep_to, overdue
from exchange.audit_chain import Act


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
        if done.patients:
            # Nobody can take one patient out of a file that was made.
            discard(team, now=now)
        yield team.name, done
    if not dry_run:
        with outside() as database:
            scour(database)


def replace_identity_key(*, now: int) -> int:
    """Put every patient's key under another key of the team; return how many there are.

    Args:
        now: ms UTC.

    Raises:
        CoordinationError: there is no key, or it does not open one of them; nothing was changed.
        IdentityError: the key cannot be read or written.
    """
    vault()  # the one in use must be there and whole before another follows it
    path = settings.DESK.identity_key
    begin_replacing(path)
    both = vault()
    with acting() as database:
        rows = list(PatientKey.objects.select_for_update())
        for row in rows:
            row.wrapped = both.wrapped_anew(row.pk, bytes(row.wrapped))
            row.save(update_fields=["wrapped"])
        log = AuditLog(database)
        log.begin(at=now)
        log.enter(Act.KEYS_ROTATED, at=now, by=account(), reference="identities", detail={"patients": len(rows)})
    end_replacing(path)
    with outside() as database:
        scour(database)
    return len(rows)

"""When a box's canary stays away: it is heard, but what it keeps no longer comes through.

Every box makes a reading of nobody's once a day and sends it the whole way that readings go (`CanaryRecord`). A box
whose signs of life arrive while its canary does not has something wrong in between: its disk, its keys, its lane. One
technical alert says so, about the box and no patient; the next canary resolves it. A box that is not heard at all is
told by `silence`, and by that alone.

As there, what counts is time spent listening. Times are ms UTC by the team's clock, which is an argument.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from coordination.attribution import INBOX_VERSION, TeamChange
from coordination.database import Listened

CANARY_MISSING = "canary_missing"
DELAY_MS: Final = 30 * 3_600_000
"""A canary a day, a box that was off for a while, and a backlog that goes before."""
HEARD_MS: Final = 2 * 3_600_000
"""A box not heard for so long is away; its canary is awaited from its return on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sung:
    """What is known of one box's canaries.

    Attributes:
        box: its id.
        sung_at: ms UTC at which its last canary came; None when none ever did.
        due_since: what `Listened.listened` was when the last thing happened that a canary is awaited from: the last
            canary, the box's return, or the beginning of watching.
        heard_listened: what it was when anything of the box last said something new; None when nothing ever did.
        standing: the alert that stands.
    """

    box: str
    sung_at: int | None
    due_since: int
    heard_listened: int | None
    standing: AlertChange | None


def judge(now: Listened, boxes: Sequence[Sung]) -> Iterator[TeamChange]:
    """Yield what changes now."""
    for item in boxes:
        if item.standing is not None:
            if item.sung_at is not None and item.sung_at > item.standing.raised_at:
                yield TeamChange(box=item.box, change=_sings_again(item.box, item.standing, item.sung_at))
        elif _is_missing(now, item):
            yield TeamChange(box=item.box, change=_missing(item, now.at))


def _is_missing(now: Listened, item: Sung) -> bool:
    heard = item.heard_listened is not None and now.listened - item.heard_listened < HEARD_MS
    return heard and now.listened - item.due_since >= DELAY_MS


def _missing(item: Sung, at: int) -> AlertChange:
    onset = at if item.sung_at is None else item.sung_at
    hours, nb = DELAY_MS // 3_600_000, "\u00a0"
    return AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=alert_id(patient=item.box, protocol="", rule=CANARY_MISSING, onset=onset),
        patient=item.box,
        rule=CANARY_MISSING,
        priority=Priority.MEDIUM,
        category=Category.TECHNICAL,
        onset=onset,
        raised_at=at,
        resolved_at=None,
        evidence=(),
        why=Sentence(
            fr=f"Le boîtier {item.box} donne signe de vie, mais son relevé témoin quotidien n'arrive plus depuis plus "
            f"de {hours}{nb}h{nb}: ses mesures n'arrivent peut-être plus{nb}; à vérifier{nb}: 'veilleur status' sur le "
            "boîtier (place sur le disque, mesures en attente), puis lui demander un témoin.",
            en=f"Box {item.box} gives signs of life, but its daily canary reading has not come for over {hours} h: its "
            "readings may no longer arrive; to check: 'veilleur status' on the box (room on the disk, readings that "
            "wait), then ask it for a canary.",
        ),
        late=False,
        supersedes=None,
        protocol="",
        protocol_version=0,
        protocol_hash="",
        engine_version=INBOX_VERSION,
    )


def _sings_again(box: str, alert: AlertChange, at: int) -> AlertChange:
    why = Sentence(
        fr=f"Le relevé témoin du boîtier {box} arrive de nouveau.", en=f"The canary reading of box {box} arrives again."
    )
    return replace(alert, kind=ChangeKind.RESOLVED, resolved_at=at, why=why)

"""Which care protocol the box of each patient applies, as the boxes last said: the team's pathways."""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from django.db import connection

from alerting.alert import Sentence
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from coordination.desk.models import BoxAssignment, Team
from coordination.team_origin import is_origin


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPathway:
    """One protocol on boxes.

    Attributes:
        title: of the protocol; None when the team does not know it, or no box has said one yet.
        name: with its version, "" likewise.
        protocol_hash: "" when no box has said one.
        patients: pseudonyms, sorted.
    """

    title: Sentence | None
    name: str
    protocol_hash: str
    patients: tuple[str, ...]


def judged_by_boxes(team: Team) -> list[BoxPathway]:
    """Return the protocols that boxes apply to patients of a team; last those of whom none is known."""
    applied: dict[str, list[str]] = defaultdict(list)
    rows = (
        BoxAssignment.objects.filter(patient__team=team, until=None)
        .order_by("patient__pseudonym")
        .values_list("patient__pseudonym", "box__boxstatus__protocols", "box__name")
    )
    for pseudonym, protocols, box in rows:
        if not is_origin(box):
            said = {} if protocols is None else msgspec.json.decode(protocols, type=dict[str, str])
            applied[said.get(pseudonym, "")].append(pseudonym)
    texts = _texts([name for name in applied if name])
    found = []
    for protocol_hash, patients in applied.items():
        title, name = _named(texts.get(protocol_hash))
        found.append(BoxPathway(title=title, name=name, protocol_hash=protocol_hash, patients=tuple(patients)))
    return sorted(found, key=lambda one: (one.title is None, one.name, one.protocol_hash))


def _texts(hashes: list[str]) -> dict[str, str]:
    if not hashes:
        return {}
    marks = ", ".join(["%s"] * len(hashes))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT hash, text FROM care_protocol WHERE hash IN ({marks})", hashes)  # noqa: S608 - marks only
        return dict(cursor.fetchall())


@lru_cache(maxsize=256)
def _named(text: str | None) -> tuple[Sentence | None, str]:
    if text is None:
        return None, ""
    try:
        protocol = read_protocol(text.encode(), name_hint="")
    except ProtocolError:
        return None, ""
    return protocol.title, f"{protocol.name} v{protocol.version}"

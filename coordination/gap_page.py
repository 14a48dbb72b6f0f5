"""What is missing, for people and programs: what boxes declared, and what has not come yet."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct
from tabulate import tabulate

from alerting.alert import Sentence
from coordination.lines import iso
from coordination.tables import NB, Language, local, said
from coordination.view import GapView, MissingView
from exchange.gaps import GapReason

_HEADERS = {
    Language.FR: ("Patient", "Mesurées du", "au", "Manquent", "Pourquoi", "Boîtier"),
    Language.EN: ("Patient", "Measured from", "to", "Missing", "Why", "Box"),
}
WHY = {
    GapReason.EVICTED: Sentence(
        fr="mesure continue\u00a0; boîtier plein, les plus anciennes ont laissé la place",
        en="continuous measurement; the box was full, the oldest gave way",
    ),
    GapReason.REFUSED: Sentence(
        fr="mesure continue\u00a0; boîtier plein, elles n'ont pu être gardées",
        en="continuous measurement; the box was full, they could not be kept",
    ),
    GapReason.ALTERED: Sentence(
        fr="abîmées ou altérées sur le boîtier avant de partir (heures\u00a0: celles de leur mise sous scellé)",
        en="damaged or altered on the box before they left (times: when they were sealed)",
    ),
    GapReason.WITHDRAWN: Sentence(
        fr="scellées sous une clé que l'équipe ne croit plus (heures\u00a0: celles de leur mise sous scellé)",
        en="sealed under a key that the team no longer believes (times: when they were sealed)",
    ),
}
_WIDTH = 50
MORE_MISSING = Sentence(
    fr=f"Des mesures manquent, un boîtier l'a déclaré{NB}: 'veilleur-desk gaps' dit lesquelles.",
    en="Readings are missing, as a box declared: 'veilleur-desk gaps' says which.",
)
"""Said below readings, where there are gaps."""


class _GapLine(Struct, frozen=True, kw_only=True):
    patient: str | None
    box: str
    measured_from: str
    measured_to: str
    readings: int
    reason: GapReason


class _MissingLine(Struct, frozen=True, kw_only=True):
    box: str
    database: str
    not_received: tuple[tuple[int, int], ...]


def gap_lines(gaps: Iterable[GapView], missing: Iterable[MissingView]) -> Iterator[str]:
    """Yield a JSON line for each gap, then one for each database of a box of which something has not come."""
    for gap in gaps:
        line = _GapLine(
            patient=gap.patient,
            box=gap.box,
            measured_from=iso(gap.measured_from),
            measured_to=iso(gap.measured_to),
            readings=gap.readings,
            reason=gap.reason,
        )
        yield msgspec.json.encode(line).decode()
    for one in missing:
        ranges = tuple((part.first, part.last) for part in one.ranges)
        yield msgspec.json.encode(_MissingLine(box=one.box, database=one.database, not_received=ranges)).decode()


def gap_table(gaps: Iterable[GapView], language: Language) -> str:
    """Return the declared gaps as a table."""
    unknown = said(Sentence(fr="à attribuer", en="to be attributed"), language)
    rows = [
        (
            gap.patient or unknown,
            local(gap.measured_from, language),
            local(gap.measured_to, language),
            str(gap.readings),
            said(WHY[gap.reason], language),
            gap.box,
        )
        for gap in gaps
    ]
    widths = [None, None, None, None, _WIDTH, None]
    return str(
        tabulate(rows, headers=_HEADERS[language], tablefmt="simple", disable_numparse=True, maxcolwidths=widths)
    )


def missing_sentences(missing: Iterable[MissingView], language: Language) -> Iterator[str]:
    """Yield one sentence for each box of which something has neither come nor been declared."""
    for one in missing:
        count = sum(part.last - part.first + 1 for part in one.ranges)
        yield said(
            Sentence(
                fr=f"Pas encore reçus de {one.box}{NB}: {count} relevés. Un boîtier envoie les plus récents d'abord"
                f"{NB}; si ce nombre ne diminue pas en un jour alors que le boîtier est en ligne, le signaler.",
                en=f"Not received yet from {one.box}: {count} records. A box sends the newest first; "
                "if this number does not fall within a day while the box is online, report it.",
            ),
            language,
        )

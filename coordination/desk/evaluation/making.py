"""Making an export as an act: which days, linked or not, entered in the record before it is handed over."""

from datetime import date, timedelta
from pathlib import Path

from alerting.alert import Sentence
from coordination.desk.evaluation.observed import Period
from coordination.desk.evaluation.pseudonyms import fresh, linked
from coordination.desk.evaluation.writing import Export, write
from coordination.desk.fhir.reading_acts import enter
from coordination.desk.models import Team
from coordination.desk.shared_database import acting
from coordination.errors import CoordinationError
from exchange.audit_chain import Act, Detail

USUAL_DAYS = 90
MOST_DAYS = 3_660


def make(path: Path, team: Team, period: Period, *, links: Path | None, parquet: bool, by: str) -> Export:
    """Write an export to `path`, and enter that it was made.

    Args:
        path: of the zip; what is there is replaced.
        team: whose.
        period: its days.
        links: folder of the key under which exports are linked; None: this one is linked to no other.
        parquet: tables as Parquet too.
        by: who asks for it.

    Raises:
        CoordinationError: there are no such days, or the file cannot be written.
        IdentityError: the key cannot be read or written.
    """
    if not timedelta() < period.until - period.since <= timedelta(days=MOST_DAYS):
        raise CoordinationError(
            Sentence(
                fr="Le dernier jour doit suivre le premier, de dix ans au plus.",
                en="The last day must come after the first, by ten years at most.",
            ),
            hint=Sentence(fr="Corriger les dates.", en="Correct the dates."),
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = write(path, team, period, fresh() if links is None else linked(links), parquet=parquet)
    except OSError as error:
        raise CoordinationError(
            Sentence(
                fr=f"L'export n'a pas pu être écrit : {error.strerror}.",
                en=f"The export could not be written: {error.strerror}.",
            ),
            hint=Sentence(
                fr="Libérer de la place ou choisir un autre dossier, puis recommencer.",
                en="Make room or choose another folder, then try again.",
            ),
        ) from error
    detail: Detail = {
        "since": period.since.isoformat(),
        "until": period.until.isoformat(),
        "linked": int(links is not None),
        "alerts": made.rows["alerts"],
        "sha256": made.sha256,
    }
    with acting() as database:
        enter(database, Act.EVALUATION_EXPORTED, at=period.made, by=by, reference=f"team {team.pk}", detail=detail)
    return made


def day_of(text: str) -> date:
    """Return a date as it was written (2026-11-30).

    Raises:
        CoordinationError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CoordinationError(
            Sentence(fr=f"« {text[:20]} » n'est pas une date.", en=f"'{text[:20]}' is no date."),
            hint=Sentence(fr="L'écrire comme 2026-11-30.", en="Write it like 2026-11-30."),
        ) from error

"""What `veilleur-desk resend` does: ask boxes again for what the team's database lacks, and say so.

The inbox asks by itself when it sees that a box has been receipted for more than is here. Not here: what is lacking,
and asking (resending).
"""

from collections.abc import Iterator, Sequence
from contextlib import closing

from alerting.alert import Sentence
from coordination.errors import CoordinationError
from coordination.place import Place
from coordination.resending import Lacking, ask, lacking
from coordination.team_database import connect, connect_to_read, transaction
from coordination.team_origin import is_origin


def ask_again(place: Place, boxes: Sequence[str], *, everything: bool, now: int) -> Iterator[Sentence]:
    """Ask boxes for what is neither here nor declared missing; yield what was done for each.

    Args:
        place: the team's database.
        boxes: which; none: all.
        everything: also for what is here.
        now: ms UTC, real time.

    Raises:
        CoordinationError: a box is not known here, or the database cannot be used.
    """
    # A database that is not there is refused before one is made.
    connect_to_read(place).close()
    with closing(connect(place)) as connection:
        known = [name for (name,) in connection.execute("SELECT name FROM box ORDER BY name") if not is_origin(name)]
        for box in boxes:
            if box not in known:
                raise _unknown(box, known)
        for box in boxes or known:
            found = lacking(connection, box, everything=everything)
            if found is not None and found.ranges:
                with transaction(connection):
                    ask(connection, found, now=now)
            yield _done(box, found)


def _done(box: str, found: Lacking | None) -> Sentence:
    if found is None:
        return Sentence(
            fr=f"{box} : rien reçu de ce boîtier depuis que cette base existe ; recommencer quand il est en ligne.",
            en=f"{box}: nothing was heard of this box since this database exists; try again once it is online.",
        )
    if not found.ranges:
        return Sentence(fr=f"{box} : il ne manque rien.", en=f"{box}: nothing is missing.")
    return Sentence(
        fr=f"{box} : {found.records} relevés redemandés ; le boîtier renvoie ce qu'il garde encore. "
        "« veilleur-desk commands » montre sa réponse.",
        en=f"{box}: {found.records} records asked for again; the box sends what it still keeps. "
        "'veilleur-desk commands' shows its answer.",
    )


def _unknown(box: str, known: Sequence[str]) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=f"Aucun boîtier '{box}' ici.", en=f"There is no box '{box}' here."),
        hint=Sentence(
            fr=f"Boîtiers connus : {', '.join(known) or 'aucun'}.", en=f"Known boxes: {', '.join(known) or 'none'}."
        ),
    )

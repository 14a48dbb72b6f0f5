"""A named person closes an alert from the command line: she says what came of it. The last word counts.

Not here: what closing does (handling), and acknowledging (acknowledging).
"""

from dataclasses import dataclass

from alerting.alert import Outcome
from coordination import handling
from coordination.acknowledging import named
from coordination.alert_acts import standing_of
from coordination.dispositions import is_a_boxs
from coordination.handling import Handler, turn
from coordination.place import Place
from coordination.team_database import ERRORS, as_error, connect, connect_to_read, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """An alert that was closed: its id, and whether a box is told."""

    alert: str
    box_is_told: bool


def close(database: Place, alert: str, *, by: str, outcome: Outcome, at: int) -> Closed:
    """Keep what came of the alert whose id begins with `alert`, by whom and when (ms UTC).

    Whoever closes an alert has seen it.

    Raises:
        CoordinationError: no alert, or more than one, begins like that.
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    # A database that is not there is refused before one is made.
    connect_to_read(database).close()
    connection = connect(database)
    try:
        with transaction(connection):
            whole = named(connection, alert)
            found = standing_of(connection, whole)
            if found is not None:
                this = turn(Handler(name=by, row=None), at)
                handling.close(connection, whole, this, handled=found[1], outcome=outcome)
            told = is_a_boxs(connection, whole)
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
    return Closed(alert=whole, box_is_told=told)

"""A named person acknowledges an alert: she has seen it. The alert goes on until the patient's readings end it.

The box that raised it is told, so that nobody at home is told again of what is looked after.

Not here: closing an alert (closing); taking it in hand and giving it back belong to the desk.
"""

from alerting.alert import Acknowledgement, Sentence
from coordination.alert_acts import standing_of
from coordination.audit_log import AuditLog
from coordination.errors import CoordinationError
from coordination.handling import Handler, take, turn
from coordination.place import Place
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from coordination.team_database import ERRORS, as_error, connect, connect_to_read, transaction
from exchange.audit_chain import Act

SHORTEST_ID = 6
"""Characters of an alert's id that must be given; a table shows eight."""


def acknowledge(database: Place, alert: str, acknowledgement: Acknowledgement) -> tuple[str, Acknowledgement]:
    """Keep that a person has seen the alert whose id begins with `alert`; return the whole id and who saw it first.

    Seeing it twice changes nothing: the first who did stays the one who did.

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
            this = turn(Handler(name=acknowledgement.by, row=None), acknowledgement.at)
            taken = found is not None and take(connection, whole, this, handled=found[1])
            first = Alerts(connection).acknowledge(whole, acknowledgement)
            if not taken:
                # Somebody else had it in hand: that this person saw it too changes nothing, and is kept all the same.
                log = AuditLog(connection)
                log.begin(at=acknowledgement.at)
                log.enter(Act.ALERT_ACKNOWLEDGED, at=acknowledgement.at, by=acknowledgement.by, reference=whole)
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
    return whole, first


def named(connection: Sql, alert: str) -> str:
    """Return the id of the one alert whose id begins with `alert`.

    Raises:
        CoordinationError: no alert, or more than one, begins like that.
    """
    found = connection.execute(
        "SELECT id FROM alert WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 2", (len(alert), alert)
    ).fetchall()
    if len(found) != 1 or len(alert) < SHORTEST_ID:
        raise _ambiguous(alert) if found else _unknown(alert)
    return str(found[0][0])


def _unknown(alert: str) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=f"Aucune alerte '{alert}' ici.", en=f"There is no alert '{alert}' here."),
        hint=Sentence(
            fr="'veilleur-desk alerts' montre les numéros.", en="'veilleur-desk alerts' shows the identifiers."
        ),
    )


def _ambiguous(alert: str) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=f"'{alert}' ne désigne pas une seule alerte.", en=f"'{alert}' does not name one alert."),
        hint=Sentence(
            fr=f"Donner plus de caractères, au moins {SHORTEST_ID}.",
            en=f"Give more characters, at least {SHORTEST_ID}.",
        ),
    )

"""Erasing a patient at the team: no row, no key and no byte of the database's file tells of them any more.

- Everything goes in one transaction: readings, alerts with all that hangs on them, orders, gaps, what waits to be
  attributed, the sealed identity and its key, and the key of their tags in the record of acts, whose entries stay and
  say nothing from then on.
- Tables are found by their columns (`patient_id`, `alert_id`, `pseudonym`), so that one that is added later is erased
  from too.
- What their box still sends afterwards is received and not kept (erased_patients).
- An order to their box to erase them that is not answered yet stays, under their pseudonym, until it is.
- SQLite overwrites what it deletes (`secure_delete`), and the log of the database is emptied afterwards (`scour`); a
  dump of PostgreSQL holds nothing of it at once, its pages once they are vacuumed, which `scour` asks for.
- What a backup holds is not reached from here: docs/operate.md says how long one is kept.

Not here: the box, which is told by an order that two people sign (erasure_orders), and who may ask (the desk).
"""

import sqlite3
from dataclasses import dataclass

import msgspec

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.erased_patients import remember_erased
from coordination.errors import CoordinationError
from coordination.sql import Sql
from coordination.team_database import ERRORS
from exchange.audit_chain import Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How many readings and alerts went."""

    readings: int
    alerts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOrder:
    """What became of the order that tells a box to erase a patient; state "" where none was sent."""

    box: str
    state: str


def box_orders(connection: Sql, patient: int) -> tuple[BoxOrder, ...]:
    """Return for each box that a patient had whether it was told to erase them, and what it made of it."""
    rows = connection.execute(
        "SELECT DISTINCT box.id, box.name, pseudonym FROM box_assignment JOIN box ON box.id = box_id"
        ' JOIN patient ON patient.id = patient_id WHERE patient_id = ? AND ("to" IS NULL OR "to" > "from")'
        " ORDER BY box.name",
        (patient,),
    ).fetchall()
    found = []
    for box, name, pseudonym in rows:
        row = connection.execute(
            "SELECT state FROM command WHERE box_id = ? AND kind = 'erase' AND subject IN (?, '')"
            " ORDER BY version DESC LIMIT 1",
            (box, pseudonym),
        ).fetchone()
        found.append(BoxOrder(box=str(name), state="" if row is None else str(row[0])))
    return tuple(found)


def erase(connection: Sql, patient: int, *, by: str, at: int, without_box: bool = False) -> Erased:
    """Erase a patient whose follow-up has ended.

    Args:
        connection: in a transaction; `scour` afterwards.
        patient: their row.
        by: who erases.
        at: ms UTC.
        without_box: even though a box was told and has not answered, or was never told: it is lost, away, or was
            erased by hand.

    Raises:
        CoordinationError: the follow-up goes on, or a box has not erased them.
    """
    row = connection.execute("SELECT pseudonym, ended_at FROM patient WHERE id = ?", (patient,)).fetchone()
    if row is None:
        raise CoordinationError(
            Sentence(fr="Ce patient vient d'être effacé.", en="This patient was just erased."),
            hint=Sentence(fr="Il n'y a rien à faire.", en="There is nothing to do."),
        )
    pseudonym, ended = row
    if ended is None:
        raise CoordinationError(
            Sentence(fr="Le suivi de ce patient n'est pas terminé.", en="This patient's follow-up has not ended."),
            hint=Sentence(fr="Terminer d'abord le suivi.", en="End the follow-up first."),
        )
    if not without_box and any(order.state != "applied" for order in box_orders(connection, patient)):
        raise CoordinationError(
            Sentence(
                fr="Un boîtier n'a pas confirmé l'effacement de ce patient.",
                en="A box has not confirmed that it erased this patient.",
            ),
            hint=Sentence(
                fr="Signer l'ordre avec votre code et attendre sa réponse, ou cocher de ne pas l'attendre.",
                en="Sign the order with your PIN and wait for its answer, or tick not to wait for it.",
            ),
        )
    _orders(connection, pseudonym)
    _memory_of_devices(connection, patient)
    alerts = int(connection.execute("SELECT count(*) FROM alert WHERE patient_id = ?", (patient,)).fetchone()[0])
    hashes = _protocols_of(connection, patient)
    readings = connection.execute("DELETE FROM observation WHERE patient_id = ?", (patient,)).rowcount
    _rows(connection, patient, pseudonym)
    connection.execute("DELETE FROM alert WHERE patient_id = ?", (patient,))
    connection.execute("DELETE FROM patient WHERE id = ?", (patient,))
    _protocols(connection, hashes)
    _statuses(connection, pseudonym)
    connection.execute(
        "DELETE FROM device_silence WHERE device_id IN (SELECT id FROM device WHERE NOT EXISTS"
        " (SELECT 1 FROM observation WHERE observation.device_id = device.id))"
    )
    connection.execute(
        "DELETE FROM device_record WHERE device_id IN (SELECT id FROM device WHERE NOT EXISTS"
        " (SELECT 1 FROM observation WHERE observation.device_id = device.id))"
    )
    connection.execute(
        "DELETE FROM device WHERE NOT EXISTS (SELECT 1 FROM observation WHERE observation.device_id = device.id)"
    )
    connection.execute("UPDATE inbox_listening SET roster = roster + 1")
    log = AuditLog(connection)
    log.begin(at=at)
    log.forget([pseudonym])
    remember_erased(connection, pseudonym, at=at)
    log.enter(Act.ERASED, at=at, by=by, detail={"readings": readings, "alerts": alerts})
    return Erased(readings=readings, alerts=alerts)


def scour(connection: Sql, *, touched: tuple[str, ...] = ("observation", "alert", "alert_event", "patient")) -> None:
    """Let nothing of what was deleted lie in the database's files; outside a transaction.

    A reader who holds an old state of a SQLite file keeps its log from being emptied: the next call, or the next time
    that the database is closed, does it.
    """
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return
    for table in touched:
        connection.execute(f"VACUUM {table}")


def _orders(connection: Sql, pseudonym: str) -> None:
    # A box that is told, or about to be, still has to hear of it.
    gone = "subject = ? AND NOT (kind = 'erase' AND state IN ('to_sign', 'queued', 'sent', 'accepted'))"
    connection.execute(
        f"DELETE FROM command_ack WHERE command_id IN (SELECT id FROM command WHERE {gone})",  # noqa: S608 - a constant
        (pseudonym,),
    )
    connection.execute(f"DELETE FROM command WHERE {gone}", (pseudonym,))  # noqa: S608 - likewise


def _memory_of_devices(connection: Sql, patient: int) -> None:
    connection.execute(
        "DELETE FROM device_record WHERE (device_id, key, quantity, count, validity) IN"
        " (SELECT device_id, key, quantity, count, validity FROM observation WHERE patient_id = ?)",
        (patient,),
    )


def _rows(connection: Sql, patient: int, pseudonym: str) -> None:
    """Delete whatever hangs on the patient or their alerts, in tables of today and of tomorrow."""
    connection.execute("DELETE FROM to_attribute WHERE patient = ?", (pseudonym,))
    waiting: list[tuple[str, int | str]] = []
    for table, names in sorted(_columns(connection).items()):
        if "alert_id" in names:
            of_alerts = "alert_id IN (SELECT id FROM alert WHERE patient_id = ?)"
            waiting.append((f'DELETE FROM "{table}" WHERE {of_alerts}', patient))  # noqa: S608 - our own tables
        if "patient_id" in names and table != "alert":
            waiting.append((f'DELETE FROM "{table}" WHERE patient_id = ?', patient))  # noqa: S608 - likewise
        if "pseudonym" in names and table != "patient":
            waiting.append((f'DELETE FROM "{table}" WHERE pseudonym = ?', pseudonym))  # noqa: S608 - likewise
    while waiting:
        # One that something else still refers to is for the next round.
        refused = [one for one in waiting if not _deleted(connection, *one)]
        if len(refused) == len(waiting):
            statement, value = refused[0]
            connection.execute(statement, (value,))
        waiting = refused


def _deleted(connection: Sql, statement: str, value: int | str) -> bool:
    connection.execute("SAVEPOINT erasing")
    try:
        connection.execute(statement, (value,))
    except ERRORS:
        connection.execute("ROLLBACK TO SAVEPOINT erasing")
        return False
    finally:
        connection.execute("RELEASE SAVEPOINT erasing")
    return True


def _columns(connection: Sql) -> dict[str, set[str]]:
    """Return the columns of every table, by name."""
    if isinstance(connection, sqlite3.Connection):
        query = (
            "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns"
            " WHERE tables.type = 'table'"
        )
    else:
        query = (
            "SELECT columns.table_name, column_name FROM information_schema.columns JOIN information_schema.tables"
            " ON tables.table_name = columns.table_name AND tables.table_schema = columns.table_schema"
            " WHERE columns.table_schema = current_schema() AND table_type = 'BASE TABLE'"
        )
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(query).fetchall():
        found.setdefault(str(table), set()).add(str(column))
    return found


def _protocols_of(connection: Sql, patient: int) -> list[str]:
    rows = connection.execute(
        "SELECT followed_by FROM patient WHERE id = ? UNION SELECT protocol_hash FROM alert WHERE patient_id = ?",
        (patient, patient),
    ).fetchall()
    return [str(found) for (found,) in rows if found]


def _protocols(connection: Sql, hashes: list[str]) -> None:
    """Delete protocols that nobody else follows: one may hold the weight that a physician set for this patient."""
    statuses = " ".join(str(row[0]) for row in connection.execute("SELECT protocols FROM box_status").fetchall())
    for chosen in hashes:
        used = connection.execute(
            "SELECT 1 FROM patient WHERE followed_by = ? UNION ALL SELECT 1 FROM alert WHERE protocol_hash = ?"
            " UNION ALL SELECT 1 FROM command WHERE protocol_hash = ?"
            " UNION ALL SELECT 1 FROM self_report WHERE protocol_hash = ?",
            (chosen, chosen, chosen, chosen),
        ).fetchone()
        if used is None and statuses.count(chosen) <= 1:
            connection.execute("DELETE FROM care_protocol WHERE hash = ?", (chosen,))


def _statuses(connection: Sql, pseudonym: str) -> None:
    for box, text in connection.execute("SELECT box_id, protocols FROM box_status").fetchall():
        protocols = msgspec.json.decode(text, type=dict[str, str])
        if protocols.pop(pseudonym, None) is not None:
            connection.execute(
                "UPDATE box_status SET protocols = ? WHERE box_id = ?",
                (msgspec.json.encode(protocols).decode(), box),
            )

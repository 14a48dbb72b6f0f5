"""`veilleur-desk audit`: the team's record of acts, to read, to filter, and as a file for an auditor.

The file also holds what each box signed for in its own log: with it an auditor sees whether a box's log was cut.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TextIO

from coordination.audit_beside import account, write_beside
from coordination.audit_log import AuditLog
from coordination.audit_witness import Witness
from coordination.place import Place
from coordination.sql import Sql
from coordination.team_database import ERRORS, as_error, connect_to_read
from exchange.audit_chain import TEAM_LOG, Act, Detail
from exchange.audit_export import Exported, lines
from exchange.audit_show import Wanted, as_json, table


def show(database: Place, wanted: Wanted, *, lang: str, json_lines: bool) -> str:
    """Return the acts asked for, as a table or as JSON lines.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    with _reading(database) as connection:
        log = AuditLog(connection)
        entries = wanted.of(log.entries())
        names = {tag: value for tag, (value, _) in log.names().items()}
    if json_lines:
        return "\n".join(as_json(entry, names) for entry in entries)
    return table(entries, names, lang)


def export(database: Place, file: TextIO, *, name: str, now: int, names: bool) -> int:
    """Write the whole log for an auditor, and enter that it was; return how many entries.

    Args:
        database: the team's.
        file: that only its owner can read.
        name: of the file.
        now: ms UTC.
        names: whether the file says what tags stand for.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    connect_to_read(database).close()
    detail: Detail = {"with_names": names}

    def exported(log: AuditLog) -> None:
        log.enter(Act.LOG_EXPORTED, at=now, by=account(), reference=name, detail=detail)

    write_beside(database, exported, at=now)
    with _reading(database) as connection:
        log = AuditLog(connection)
        entries = list(log.entries())
        whole = Exported(
            log=TEAM_LOG,
            chain=log.chain() or "",
            at=now,
            program=version("veilleur"),
            entries=entries,
            checkpoints=[*log.checkpoints(), *Witness(connection).kept()],
            names=log.names() if names else {},
        )
        file.writelines(f"{line}\n" for line in lines(whole))
    return len(entries)


@contextmanager
def _reading(database: Place) -> Iterator[Sql]:
    connection = connect_to_read(database)
    try:
        yield connection
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()

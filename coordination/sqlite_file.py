"""The team's SQLite file: its mode, its pragmas, its version. It opens as required or not at all."""

import sqlite3
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

from alerting.alert import Sentence
from coordination.errors import CoordinationError, DatabaseBusyError, DatabaseUnusableError
from coordination.schema_steps import STEPS, VERSION
from coordination.sqlite_turn import take_turn
from exchange.durable_file import make_before_sqlite, sync_folder

APPLICATION = 0x5665696C
"""Marks the file as Veilleur's team database ("Veil")."""
BUSY_S = 10.0
"""How long a turn is waited for: workers, and people at the desk, write one after the other."""
WAL_BYTES = 1 << 22
# synchronous 2 is FULL: a commit is on the disk before it returns, and only then is anything receipted.
# What is deleted is overwritten: a patient who was erased, a record that was attributed.
_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
# What SQLite says of a disk that is full, locked or failing; everything else it says needs a person.
_TRANSIENT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the database, in autocommit: `team_database.transaction` begins what must hold together.

    Raises:
        DatabaseUnusableError: from a newer version, not ours, damaged, or the disk keeps no promise.
        DatabaseBusyError: locked or full at the moment.
    """
    try:
        make_before_sqlite(path)
        connection = learn(sqlite3.connect(path, isolation_level=None, timeout=BUSY_S))
    except (OSError, sqlite3.Error) as error:
        raise _cannot_open(path, str(error)) from error
    try:
        _require_ours(connection, path)
        path.chmod(0o600)
        _require_pragmas(connection, path)
        # The journal of the change to WAL is gone for good: left over, it would take the database back to nothing.
        sync_folder(path.parent)
        _create(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if _primary(error) == sqlite3.SQLITE_NOTADB:
            raise _not_ours(path) from error
        raise as_error(error) from error
    except (CoordinationError, OSError) as error:
        connection.close()
        if isinstance(error, OSError):
            raise _cannot_open(path, str(error)) from error
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open an existing database for reading.

    Raises:
        DatabaseUnusableError: missing, from another version, not ours or damaged.
        DatabaseBusyError: locked at the moment.
    """
    if not path.is_file():
        raise DatabaseUnusableError(
            Sentence(fr=f"La base {path} n'existe pas.", en=f"The database {path} does not exist."),
            hint=Sentence(
                fr="Lancer d'abord 'veilleur-desk inbox', ou vérifier 'inbox.database' dans desk.toml.",
                en="Run 'veilleur-desk inbox' first, or check 'inbox.database' in desk.toml.",
            ),
        )
    try:
        connection = learn(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S))
    except sqlite3.Error as error:
        raise _cannot_open(path, str(error)) from error
    try:
        version = _require_ours(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _not_ours(path) if _primary(error) == sqlite3.SQLITE_NOTADB else as_error(error) from error
    except CoordinationError:
        connection.close()
        raise
    if version < VERSION:
        connection.close()
        raise (
            _not_ours(path)
            if version == 0
            else DatabaseUnusableError(
                Sentence(
                    fr=f"La base {path} vient d'une version précédente de Veilleur ({version}, ici {VERSION}).",
                    en=f"The database {path} is from an earlier version of Veilleur ({version}, here {VERSION}).",
                ),
                hint=Sentence(
                    fr="Lancer une fois 'veilleur-desk inbox', qui la met à niveau.",
                    en="Run 'veilleur-desk inbox' once: it upgrades the database.",
                ),
            )
        )
    return connection


def begin(connection: sqlite3.Connection) -> None:
    """Begin a write transaction once no other is under way.

    Raises:
        sqlite3.OperationalError: not within `BUSY_S`.
    """
    take_turn(connection, within_s=BUSY_S)


def learn(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Teach a connection the functions of `sql` that SQLite knows by other names, and return it."""
    for name, chosen in (("greatest", max), ("least", min)):
        connection.create_function(name, -1, partial(_of_known, chosen), deterministic=True)
    return connection


def _of_known(chosen: Callable[..., int], *values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return chosen(known) if known else None


def as_error(error: sqlite3.Error) -> CoordinationError:
    """Return what an error of SQLite means for the inbox."""
    if _primary(error) in _TRANSIENT:
        return DatabaseBusyError(
            Sentence(
                fr=f"La base ne peut rien enregistrer pour le moment ({error}).",
                en=f"The database cannot store anything for now ({error}).",
            ),
            hint=Sentence(
                fr="Vérifier la place et l'état du disque ; la réception réessaie d'elle-même.",
                en="Check the disk's room and health; the inbox tries again by itself.",
            ),
        )
    return DatabaseUnusableError(
        Sentence(fr=f"La base est inutilisable ({error}).", en=f"The database cannot be used ({error})."),
        hint=Sentence(
            fr="Mettre le fichier de côté et restaurer la dernière sauvegarde.",
            en="Move the file aside and restore the latest backup.",
        ),
    )


def _primary(error: sqlite3.Error) -> int | None:
    # The low byte is the primary code; extended codes such as SQLITE_IOERR_FSYNC say more above it.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _require_ours(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's version, 0 for a new file."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION and not (empty and application == 0):
        raise _not_ours(path)
    if version > VERSION:
        raise DatabaseUnusableError(
            Sentence(
                fr=f"La base {path} vient d'une version plus récente de Veilleur ({version}, ici {VERSION}).",
                en=f"The database {path} is from a newer version of Veilleur ({version}, here {VERSION}).",
            ),
            hint=Sentence(
                fr="Installer cette version ou une suivante ; rien n'a été modifié.",
                en="Install that version or a later one; nothing was changed.",
            ),
        )
    return version


def _require_pragmas(connection: sqlite3.Connection, path: Path) -> None:
    for pragma, value in _PRAGMAS.items():
        connection.execute(f"PRAGMA {pragma} = {value}")
        found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != value:
            raise DatabaseUnusableError(
                Sentence(
                    fr=f"Sur ce disque, {path} ne garantit pas ses écritures ({pragma} : {found}).",
                    en=f"On this disk {path} does not keep what it wrote ({pragma}: {found}).",
                ),
                hint=Sentence(
                    fr="Placer la base sur un disque local (ext4), ni réseau ni temporaire.",
                    en="Put the database on a local disk (ext4), neither network nor temporary.",
                ),
            )
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    # Another inbox may have been first since the file was looked at.
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        statement = ""
        for line in files("coordination").joinpath("schema.sql").read_text(encoding="utf-8").splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    for version in range(int(connection.execute("PRAGMA user_version").fetchone()[0]) + 1, VERSION + 1):
        for step in STEPS[version]:
            connection.execute(step)
        connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")


def _not_ours(path: Path) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        Sentence(fr=f"{path} n'est pas une base d'équipe Veilleur.", en=f"{path} is not a Veilleur team database."),
        hint=Sentence(
            fr="Vérifier 'inbox.database' dans desk.toml ; rien n'a été modifié.",
            en="Check 'inbox.database' in desk.toml; nothing was changed.",
        ),
    )


def _cannot_open(path: Path, reason: str) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        Sentence(fr=f"La base {path} ne s'ouvre pas ({reason}).", en=f"The database {path} does not open ({reason})."),
        hint=Sentence(
            fr="Vérifier que le dossier existe et appartient à cet utilisateur.",
            en="Check that the folder exists and belongs to this user.",
        ),
    )

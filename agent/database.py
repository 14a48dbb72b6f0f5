"""Opening the database file: its mode, its pragmas, its migrations. It opens as required or not at all."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils.db import Database

from agent.errors import DamagedError, StoreError
from agent.migrations import migrations
from agent.way_back import goes_back, migrate, unusable_step
from alerting.alert import Sentence
from exchange.durable_file import make_before_sqlite, sync_folder

BUSY_S = 10.0
PAGE_BYTES = 1024
"""Of a new database; one that is there keeps its own. What a commit touches is written page by page (docs/adr/0032)."""
LOG_BYTES = 2 << 20
"""A log of so many bytes is played into the file, and written over from its beginning."""
LONGEST_LOG_BYTES = 2 * LOG_BYTES
"""Only a longer one, as a large transaction leaves it, is cut: making it long again costs more than writing over it."""
_NOT_HAD = re.compile(r"unable to get the page\. error code=(\d+)")
# synchronous 2 is FULL: a commit is on the disk before it returns.
_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one write transaction: all of it, or nothing."""
    connection.execute("begin immediate")
    try:
        yield
        connection.commit()
    except BaseException:
        # A commit that failed, as on a full disk, may have left it open.
        connection.rollback()
        raise


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the box's database, migrated to this program's version.

    Raises:
        DamagedError: the file is damaged.
        StoreError: a pragma did not take, or a newer program made it.
    """
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_before_sqlite(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
        connection.text_factory = _text
        connection.execute(f"pragma page_size = {PAGE_BYTES}")
        _require_pragmas(connection, path)
        _require_sound(connection, path)
        # The journal of the change to WAL is gone for good: left over, it would take the database back to nothing.
        sync_folder(path.parent)
        _migrate(connection, path)
    except OSError as error:
        raise StoreError(
            Sentence(
                fr=f"{path} ne peut pas être ouvert ({error.strerror}).",
                en=f"{path} cannot be opened ({error.strerror}).",
            ),
            Sentence(fr="Vérifier le dossier et son propriétaire.", en="Check the folder and its owner."),
        ) from error
    except (sqlite3.Error, StoreError, MemoryError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise unusable(path, error) from error
        raise
    return connection


def _text(data: bytes) -> str:
    """Return text, whatever its bytes: where a bit fell, a sealed body may call itself one, and must only not open."""
    return data.decode("utf-8", "surrogateescape")


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite says that the file itself is damaged."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def unusable(path: Path, error: sqlite3.Error) -> StoreError:
    """Return what an error of SQLite means for an operator; only a damaged file is ever to be moved aside."""
    why = Sentence(fr=f"{path} ne peut pas servir ({error}).", en=f"{path} cannot be used ({error}).")
    if is_damage(error):
        return DamagedError(
            why,
            Sentence(
                fr=f"Mettre {path} et son -wal de côté et redémarrer : une base neuve commence, l'équipe voit le trou.",
                en=f"Move {path} and its -wal aside and restart: a new database begins, and the team sees the gap.",
            ),
        )
    return StoreError(
        why,
        Sentence(
            fr="Libérer de la place ou arrêter ce qui tient la base ; ne rien effacer : elle garde ce qui doit partir.",
            en="Free some space, or stop what holds the database; delete nothing: it keeps what was not sent yet.",
        ),
    )


def connect_reading(path: Path) -> sqlite3.Connection:
    """Open an existing database without changing it.

    Raises:
        StoreError: there is none, or it is not of this program's version.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        connection.text_factory = _text
        database = Database(connection)
        _refuse_newer(database, path)
        pending = migrations.pending(database)
    except (sqlite3.Error, StoreError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            Sentence(fr=f"{path} ne peut pas être lu ({error}).", en=f"{path} cannot be read ({error})."),
            Sentence(fr="Le boîtier a-t-il déjà démarré ?", en="Has the box been started?"),
        ) from error
    if pending:
        connection.close()
        raise StoreError(
            Sentence(fr=f"{path} vient d'une version plus ancienne.", en=f"{path} was made by an older version."),
            Sentence(fr="Démarrer le boîtier : il la met à jour.", en="Start the box: it brings it up to date."),
        )
    return connection


def keeps_the_way_back(path: Path) -> bool:
    """Return whether the program that used a database last could go on with it after this one has; it is left as it is.

    Raises:
        StoreError: it cannot be read.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        connection.text_factory = _text
        return goes_back(Database(connection))
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    finally:
        if connection is not None:
            connection.close()


def _require_pragmas(connection: sqlite3.Connection, path: Path) -> None:
    for pragma, value in _PRAGMAS.items():
        connection.execute(f"pragma {pragma} = {value}")
        found = connection.execute(f"pragma {pragma}").fetchone()[0]
        if found != value:
            raise StoreError(
                Sentence(
                    fr=f"{path} : SQLite garde {pragma} à {found} au lieu de {value}.",
                    en=f"{path}: SQLite kept {pragma} at {found} instead of {value}.",
                ),
                Sentence(
                    fr="Mettre le dossier d'état sur un disque local (ext4), ni réseau ni temporaire.",
                    en="Put the state folder on a local disk (ext4), not on a network or temporary one.",
                ),
            )
    (page,) = connection.execute("pragma page_size").fetchone()
    connection.execute(f"pragma wal_autocheckpoint = {LOG_BYTES // page}").fetchall()
    connection.execute(f"pragma journal_size_limit = {LONGEST_LOG_BYTES}")


def _require_sound(connection: sqlite3.Connection, path: Path) -> None:
    """Walk the whole file once: what is damaged is found now, not in the middle of a night.

    A page that cannot be had is no damage where memory is what lacks; where the disk does not give it, it is, once it
    has been asked for twice.
    """
    for last in (False, True):
        (found,) = connection.execute("pragma quick_check(1)").fetchone()
        if found == "ok":
            return
        code = _NOT_HAD.search(str(found))
        if code is not None and int(code[1]) & 0xFF == sqlite3.SQLITE_NOMEM:
            raise MemoryError
        if code is None or last:
            raise unusable(path, _damage(str(found)))


def _damage(found: str) -> sqlite3.Error:
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    database = Database(connection)
    _refuse_newer(database, path)
    migrate(database)


def _refuse_newer(database: Database, path: Path) -> None:
    newer = unusable_step(database)
    if newer is not None:
        raise StoreError(
            Sentence(
                fr=f"{path} vient d'une version plus récente de Veilleur (étape {newer}).",
                en=f"{path} was made by a newer version of Veilleur (step {newer}).",
            ),
            Sentence(
                fr="Installer cette version ou une plus récente ; rien n'a été changé dans la base.",
                en="Install that version or a later one; nothing in the database was changed.",
            ),
        )

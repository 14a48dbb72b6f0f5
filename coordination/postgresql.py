"""The team's database on PostgreSQL 15 or later: the statements of `sql`, over psycopg.

- The schema is that of SQLite (schema.sql and its steps), translated statement by statement: one source, two engines.
- Texts are compared by their bytes: the database is made with the collation C, and another one is refused, since
  epochs are found by their order.
- One writer at a time, as with SQLite: a transaction holds an advisory lock that ends with it. What runs outside reads
  what was last committed and waits for nobody.
- PostgreSQL keeps no NUL in a text; one that a box sends becomes U+FFFD, so that no box can stop an inbox by it.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import ClientCursor
from psycopg.adapt import Transformer
from psycopg.pq import TransactionStatus
from psycopg.types.string import BytesBinaryDumper

from alerting.alert import Sentence
from coordination.errors import CoordinationError, DatabaseBusyError, DatabaseUnusableError
from coordination.postgresql_months import by_month, make_months
from coordination.schema_steps import STEPS, VERSION
from coordination.sql import Rows, storable

Connection = psycopg.Connection[tuple[Any, ...]]
WRITER = 0x5665696C
"""Number of the advisory lock that writers take in turn ("Veil")."""
BUSY_S = 10
FIRST_VERSION = 10
"""Of the schema on PostgreSQL: the steps before it were SQLite's alone."""
_PLACE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|::|\?|:([a-z_]+)|%")


class Postgres:
    """An open connection of psycopg.

    Parameters are written into statements here and not by the server, for which a null has no type.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heard = False

    @property
    def raw(self) -> Connection:
        """Psycopg's own connection, for what only this engine has (COPY, LISTEN)."""
        return self._connection

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun."""
        return self._connection.info.transaction_status not in {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}

    def execute(self, statement: str, parameters: Any = (), /) -> Rows:  # noqa: ANN401 - see `sql.Sql`
        """Run a statement."""
        # Statements are this program's own; psycopg's types ask for literals.
        return ClientCursor(self._connection).execute(translated(statement), _without_nul(parameters))

    def executemany(self, statement: str, parameters: Any, /) -> Rows:  # noqa: ANN401 - see `sql.Sql`
        """Run a statement with each of many parameters."""
        cursor = ClientCursor(self._connection)
        many = [_without_nul(one) for one in parameters]
        if many:
            cursor.executemany(translated(statement), many)
        return cursor if many else _Nothing()

    def insert(self, head: str, rows: Iterable[Sequence[object]], conflict: str) -> None:
        """Run `head`, an INSERT up to its VALUES, with rows and what is done with those in conflict.

        The values are written here, row by row: psycopg looks for the places of thousands of parameters slowly.
        """
        literal = Transformer(self._connection).as_literal
        written = b", ".join(b"(%s)" % b", ".join([literal(storable(value)) for value in row]) for row in rows)
        self._connection.execute(head.encode() + written + conflict.encode())

    def copy(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Insert rows by COPY, which takes thousands as fast as INSERT takes a few; names are this program's own.

        Texts are without NUL.
        """
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with self._connection.cursor() as cursor:
            # Bytes would be written by psycopg's slower class for the DB-API's Binary.
            cursor.adapters.register_dumper(bytes, BytesBinaryDumper)
            with cursor.copy(statement) as target:
                target.set_types(types)
                for row in rows:
                    target.write_row(row)

    def listen(self, channel: str) -> None:
        """Hear from now on what is told on a channel, whose name is this program's own (`told`)."""
        self._connection.add_notify_handler(self._hear)
        self._connection.execute(f"LISTEN {channel}".encode())

    def _hear(self, _: psycopg.Notify) -> None:
        self._heard = True

    def told(self) -> bool:
        """Return whether anything was told since the last look, as far as the server has let it be known; no waiting.

        Raises:
            psycopg.Error: the connection is lost, and what is told with it.
        """
        reached = self._connection.pgconn
        reached.consume_input()
        # What came with the answer to a statement was heard there.
        while reached.notifies() is not None:
            self._heard = True
        anything, self._heard = self._heard, False
        return anything

    def close(self) -> None:
        """Close it; what was not committed is gone."""
        self._connection.close()


class _Nothing:
    """What no statement came to."""

    rowcount = 0

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


@lru_cache(maxsize=1024)
def translated(statement: str) -> str:
    """Return a statement with its parameters written as psycopg reads them; texts and names in quotes are left."""

    def place(found: re.Match[str]) -> str:
        text = found.group(0)
        if text == "?":
            return "%s"
        if found.group(1):
            return f"%({found.group(1)})s"
        return text.replace("%", "%%")

    return _PLACE.sub(place, statement)


def _without_nul(parameters: Any) -> Any:  # noqa: ANN401 - a sequence or a mapping
    if isinstance(parameters, Mapping):
        return {name: storable(value) for name, value in parameters.items()}
    return [storable(value) for value in parameters]


# --- opening ----------------------------------------------------------------------------------------------


def connect(url: str) -> Postgres:
    """Connect, and make or upgrade the schema.

    Raises:
        DatabaseUnusableError: from a newer version, not ours, or of another collation.
        DatabaseBusyError: it does not answer.
    """
    connection = _reached(url)
    try:
        _require_bytes_order(connection)
        with_lock = connection.raw.transaction()
        with with_lock:
            connection.execute("SELECT pg_advisory_xact_lock(?)", (WRITER,))
            _upgrade(connection)
            make_months(connection, time.time_ns() // 1_000_000)
    except CoordinationError:
        connection.close()
        raise
    except psycopg.Error as error:
        connection.close()
        raise as_error(error) from error
    return connection


def connect_to_read(url: str) -> Postgres:
    """Connect to a database that is there already, for reading.

    Raises:
        DatabaseUnusableError: not ours, or of another version.
        DatabaseBusyError: it does not answer.
    """
    connection = _reached(url)
    try:
        version = _version(connection)
        if version != VERSION:
            raise _of_version(version)
        connection.execute("SET default_transaction_read_only = on")
    except CoordinationError:
        connection.close()
        raise
    except psycopg.Error as error:
        connection.close()
        raise as_error(error) from error
    return connection


def is_empty(url: str) -> bool:
    """Return whether nothing is in a database.

    Raises:
        DatabaseBusyError: it does not answer.
    """
    connection = _reached(url)
    try:
        query = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
        return not connection.execute(query).fetchone()[0]
    finally:
        connection.close()


def begin(connection: Postgres) -> None:
    """Begin a write transaction once no other is under way.

    Raises:
        psycopg.Error: not within ten seconds.
    """
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(?)", (WRITER,))


def as_error(error: psycopg.Error) -> CoordinationError:
    """Return what an error of PostgreSQL means for the inbox."""
    transient = (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DiskFull,
        psycopg.errors.InsufficientResources,
        psycopg.errors.OperatorIntervention,
        psycopg.errors.SerializationFailure,
        psycopg.errors.DeadlockDetected,
    )
    words = " ".join(str(error).split())[:200]
    # An error without a state is one of the connection: the server went away, or is not there yet.
    if isinstance(error, transient) or error.sqlstate is None or error.sqlstate.startswith("08"):
        return DatabaseBusyError(
            Sentence(
                fr=f"La base ne peut rien enregistrer pour le moment ({words}).",
                en=f"The database cannot store anything for now ({words}).",
            ),
            hint=Sentence(
                fr="Vérifier que PostgreSQL tourne et que son disque a de la place ; la réception réessaie seule.",
                en="Check that PostgreSQL runs and that its disk has room; the inbox tries again by itself.",
            ),
        )
    return DatabaseUnusableError(
        Sentence(fr=f"La base est inutilisable ({words}).", en=f"The database cannot be used ({words})."),
        hint=Sentence(
            fr="Voir le journal de PostgreSQL, puis restaurer la dernière sauvegarde s'il le faut.",
            en="See PostgreSQL's log, then restore the latest backup if need be.",
        ),
    )


def _reached(url: str) -> Postgres:
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=BUSY_S,
            application_name="veilleur-desk",
            # None is prepared; to count them psycopg would keep the texts of the last hundred, some of megabytes.
            prepare_threshold=None,
        )
        connection.execute(f"SET lock_timeout = '{BUSY_S}s'")
        return Postgres(connection)
    except psycopg.Error as error:
        raise as_error(error) from error


def _require_bytes_order(connection: Postgres) -> None:
    (collation,) = connection.execute(
        "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    if collation not in {"C", "POSIX", "C.UTF-8", "C.utf8"}:
        raise DatabaseUnusableError(
            Sentence(
                fr=f"La base PostgreSQL compare les textes selon '{collation}', non selon leurs octets.",
                en=f"The PostgreSQL database compares texts by '{collation}', not by their bytes.",
            ),
            hint=Sentence(
                fr="La créer avec : CREATE DATABASE veilleur TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';",
                en="Create it with: CREATE DATABASE veilleur TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';",
            ),
        )


def _version(connection: Postgres) -> int:
    """Return the version of the schema, 0 where there is none."""
    if connection.execute("SELECT to_regclass('veilleur_schema')").fetchone()[0] is None:
        return 0
    return int(connection.execute("SELECT version FROM veilleur_schema").fetchone()[0])


def _upgrade(connection: Postgres) -> None:
    version = _version(connection)
    if version > VERSION:
        raise _of_version(version)
    if version == 0:
        others = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").fetchone()[0]
        if others:
            raise _not_ours()
        for statement in schema():
            connection.execute(statement)
        connection.execute("CREATE TABLE veilleur_schema (version BIGINT NOT NULL)")
        connection.execute("INSERT INTO veilleur_schema (version) VALUES (?)", (VERSION,))
    for step in range(max(version, FIRST_VERSION) + 1, VERSION + 1) if version else ():
        for statement in STEPS[step]:
            connection.execute(of_postgresql(statement))
        connection.execute("UPDATE veilleur_schema SET version = ?", (step,))


def _of_version(version: int) -> DatabaseUnusableError:
    if version == 0:
        return _not_ours()
    newer = version > VERSION
    return DatabaseUnusableError(
        Sentence(
            fr=f"La base vient d'une autre version de Veilleur ({version}, ici {VERSION}).",
            en=f"The database is from another version of Veilleur ({version}, here {VERSION}).",
        ),
        hint=Sentence(
            fr="Installer cette version ou une suivante ; rien n'a été modifié."
            if newer
            else "Lancer une fois 'veilleur-desk inbox', qui la met à niveau.",
            en="Install that version or a later one; nothing was changed."
            if newer
            else "Run 'veilleur-desk inbox' once: it upgrades the database.",
        ),
    )


def _not_ours() -> DatabaseUnusableError:
    return DatabaseUnusableError(
        Sentence(fr="Ce n'est pas une base d'équipe Veilleur.", en="This is not a Veilleur team database."),
        hint=Sentence(
            fr="Vérifier 'inbox.database' dans desk.toml : une base vide, ou la vôtre ; rien n'a été modifié.",
            en="Check 'inbox.database' in desk.toml: an empty database, or yours; nothing was changed.",
        ),
    )


# --- the schema -------------------------------------------------------------------------------------------

_WORDS = (
    (r"\)\s*STRICT(, WITHOUT ROWID)?", ")"),
    (r"\bid INTEGER PRIMARY KEY(?! CHECK)", "id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bBLOB\b", "BYTEA"),
    (r"\bifnull\(", "coalesce("),
)
_OF_MANY = re.compile(r"CREATE TABLE (observation|device_record) ")


def of_postgresql(statement: str) -> str:
    """Return a statement of the schema as PostgreSQL writes it.

    It would look up each foreign key of each row by a query of its own. What is written by the thousand does without:
    the same transaction has just read, or made, what the rows refer to.
    """
    if _OF_MANY.match(statement):
        statement = re.sub(r" REFERENCES \w+ \(id\)", "", statement)
    for pattern, words in _WORDS:
        statement = re.sub(pattern, words, statement)
    return statement


def schema() -> Iterable[str]:
    """Return the statements that make the newest schema."""
    text = files("coordination").joinpath("schema.sql").read_text(encoding="utf-8")
    without_comments = re.sub(r"--[^\n]*", "", text)
    made: list[str] = []
    for part in without_comments.split(";"):
        if statement := of_postgresql(part.strip()):
            made += by_month(statement) if statement.startswith("CREATE TABLE observation ") else (statement,)
    return made

"""Copies of the team's database while it is written, and putting one back.

A copy is whole or not there: it is written beside, proven, synced and renamed. It is put back only where nothing is.
SQLite is copied here, PostgreSQL by its own pg_dump and pg_restore.

Not here: keys and settings, which belong in another safe than the copies (docs/operate.md), and what boxes hold that a
restored database lacks: the inbox asks them for it by itself (resending).
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from alerting.alert import Sentence
from coordination import sqlite_file
from coordination.errors import CoordinationError
from coordination.place import Place
from exchange.durable_file import sync_folder

_PAGES = 4096
"""Pages of a database copied at a time: whoever writes waits no longer than for these."""


class BackupError(CoordinationError):
    """A copy could not be made or put back; what was there is as it was."""


def back_up(place: Place, copy: Path) -> None:
    """Write a copy of a database to a new file, mode 0600.

    Raises:
        BackupError: the file is there already, or the copy did not come about.
        DatabaseUnusableError, DatabaseBusyError: see `team_database.connect_to_read`.
    """
    if copy.exists():
        raise _there_already(copy)
    written = copy.with_name(f".{copy.name}.part")
    try:
        os.close(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        if isinstance(place, Path):
            _copy_file(place, written)
        else:
            _run("pg_dump", place, "--format=custom", "--no-owner", "--no-privileges", f"--file={written}")
        _name(written, copy)
    except OSError as error:
        raise _failed(error) from error
    finally:
        written.unlink(missing_ok=True)


def restore(copy: Path, place: Place) -> None:
    """Put a copy where there is no database: a new file, or an empty database of PostgreSQL.

    Raises:
        BackupError: there is a database already, or the copy is none of this kind.
    """
    if not copy.is_file():
        raise BackupError(
            Sentence(fr=f"La copie {copy} n'existe pas.", en=f"The copy {copy} does not exist."),
            hint=Sentence(fr="Vérifier le chemin de la copie.", en="Check the path of the copy."),
        )
    if isinstance(place, Path):
        _put_file(copy, place)
        return
    _require_empty(place)
    _run("pg_restore", place, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(copy))


def _copy_file(place: Path, written: Path) -> None:
    with closing(sqlite_file.connect_to_read(place)) as source, closing(sqlite3.connect(written)) as target:
        try:
            source.backup(target, pages=_PAGES)
            _require_whole(target)
        except sqlite3.Error as error:
            raise sqlite_file.as_error(error) from error


def _put_file(copy: Path, place: Path) -> None:
    if place.exists():
        raise _there_already(place)
    with closing(sqlite_file.connect_to_read(copy)) as source:
        _require_whole(source)
    written = place.with_name(f".{place.name}.part")
    try:
        shutil.copyfile(copy, written)
        written.chmod(0o600)
        _name(written, place)
    except OSError as error:
        raise _failed(error) from error
    finally:
        written.unlink(missing_ok=True)


def _name(written: Path, path: Path) -> None:
    """Give a file that is written its name, for good."""
    with written.open("rb+") as file:
        os.fsync(file.fileno())
    written.rename(path)
    sync_folder(path.parent)


def _require_whole(connection: sqlite3.Connection) -> None:
    try:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise BackupError(
            Sentence(fr=f"La copie est abîmée ({found}).", en=f"The copy is damaged ({found})."),
            hint=Sentence(fr="En prendre une autre.", en="Take another one."),
        )


def _require_empty(place: str) -> None:
    from coordination.postgresql import is_empty  # noqa: PLC0415 - an extra

    if not is_empty(place):
        raise BackupError(
            Sentence(fr="La base PostgreSQL n'est pas vide.", en="The PostgreSQL database is not empty."),
            hint=Sentence(
                fr="En créer une autre, la nommer dans 'inbox.database', et recommencer ; rien n'a été modifié.",
                en="Create another one, name it in 'inbox.database', and try again; nothing was changed.",
            ),
        )


def _run(program: str, place: str, *arguments: str) -> None:
    """Run a program of PostgreSQL on a database; the password is no argument, which others could read."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415 - an extra

    parts = conninfo_to_dict(place)
    password = parts.pop("password", None)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    found = shutil.which(program) or _newest(program)
    if found is None:
        raise BackupError(
            Sentence(fr=f"{program} n'est pas installé.", en=f"{program} is not installed."),
            hint=Sentence(fr="apt install postgresql-client", en="apt install postgresql-client"),
        )
    command: Sequence[str] = (found, f"--dbname={make_conninfo('', **parts)}", *arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise _failed(" ".join(done.stderr.split())[:300])


def _newest(program: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else None


def _there_already(path: Path) -> BackupError:
    return BackupError(
        Sentence(fr=f"{path} existe déjà.", en=f"{path} is there already."),
        hint=Sentence(
            fr="Le mettre de côté, ou choisir un autre nom ; rien n'a été modifié.",
            en="Move it aside, or choose another name; nothing was changed.",
        ),
    )


def _failed(why: object) -> BackupError:
    return BackupError(
        Sentence(fr=f"La copie n'a pas abouti ({why}).", en=f"The copy did not come about ({why})."),
        hint=Sentence(
            fr="Vérifier la place et les droits, puis recommencer.", en="Check room and rights, then try again."
        ),
    )

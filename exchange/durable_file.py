"""Writing a small file so that a power cut leaves the old one or the new one, whole, and never half of either.

The content is written beside the file, made durable, and takes the file's name in one step; then the folder is made
durable too. Not here: private keys, which are never written over another (identity).
"""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp


def write_durably(path: Path, content: bytes, *, mode: int) -> None:
    """Write `content` over an older file of that name, or as a new one.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    # mkstemp creates it readable by its owner only; the mode is set before anybody finds it under its name.
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_before_sqlite(path: Path) -> None:
    """Make the file of a database, mode 0600, before SQLite would: its log and index take over the mode.

    A file that is there is not opened: closing it again would let go of every lock that this process holds on it
    (POSIX; https://www.sqlite.org/howtocorrupt.html, section 2.2), and the next process to leave the database would
    take away the log that this one still writes to.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: a file that is synced may still be lost with its name.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

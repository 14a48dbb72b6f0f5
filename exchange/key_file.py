"""Key files: written once and complete or not at all, mode 0600, and refused when others can read them.

Content is bytes here; what they mean is identity.py's.
"""

import os
import stat
from pathlib import Path
from tempfile import mkstemp

from exchange.durable_file import sync_folder, write_durably
from exchange.errors import IdentityError


def read_private(path: Path) -> bytes:
    """Return the content of a file that nobody else can read.

    Raises:
        IdentityError: there is none, or others can read it: it may already be somebody else's.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise IdentityError(
            f"the key {path} cannot be read: {error.strerror}",
            hint="Check the path in the settings, and that this user owns the file.",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise IdentityError(
                f"the key {path} can be read by others (mode {mode:04o})",
                hint=f"If nobody else could have copied it, run 'chmod 600 {path}'; otherwise replace the key.",
            )
        return file.read()


def write_new(path: Path, content: bytes) -> None:
    """Write a private file, mode 0600, durably, and never over another.

    Raises:
        IdentityError: the file exists or cannot be written.
    """
    try:
        draft = _draft(path, content, 0o600)
        try:
            # A link fails when the name is taken, and appears complete: a power cut leaves no half key behind.
            os.link(draft, path)
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except FileExistsError as error:
        raise IdentityError(
            f"{path} exists already, and a key is never overwritten",
            hint="Keep that key, or move the file away first.",
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error


def replace(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file durably, complete or not at all, over an older one.

    Raises:
        IdentityError: the file cannot be written.
    """
    try:
        write_durably(path, content, mode=mode)
    except OSError as error:
        raise _unwritable(path, error) from error


def _draft(path: Path, content: bytes, mode: int) -> Path:
    """Write `content` durably beside `path` and return where; mkstemp creates it readable by its owner only."""
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except OSError:
        draft.unlink()
        raise
    return draft


def _unwritable(path: Path, error: OSError) -> IdentityError:
    return IdentityError(
        f"{path} cannot be written: {error.strerror}",
        hint=f"Check that the folder {path.parent} exists, is writable and has room.",
    )

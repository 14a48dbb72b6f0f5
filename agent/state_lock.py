"""One box a state folder: two that share a database would take each other's keys for tampering."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import StoreError
from alerting.alert import Sentence


@contextmanager
def state_lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel lets go of it when the process ends, however it ends.

    Raises:
        StoreError: another box holds it, or the folder cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            Sentence(
                fr=f"{folder} ne peut pas servir ({error.strerror}).", en=f"{folder} cannot be used ({error.strerror})."
            ),
            Sentence(fr="Vérifier le dossier et son propriétaire.", en="Check the folder and its owner."),
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            Sentence(fr=f"Un autre boîtier tourne déjà sur {folder}.", en=f"Another box already runs on {folder}."),
            Sentence(fr="L'arrêter d'abord (systemctl stop veilleur).", en="Stop it first (systemctl stop veilleur)."),
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)

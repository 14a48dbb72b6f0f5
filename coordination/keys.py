"""The team's private keys: read at the start, and again when they change; or a sentence that says what to put right.

A setting names a file, or a folder: every `*.key` of a folder opens envelopes, and the folder of `veilleur-desk keys`
says itself which key signs receipts. So the keys of every month are taken up by a running inbox. What is wrong at the
start stops it; what goes wrong later is told, and the keys that are held go on: keys never stop ingest.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alerting.alert import Sentence
from coordination.errors import KeyringError, SettingsError
from coordination.keyring_file import NAME, read_state
from coordination.settings import Settings
from exchange.errors import IdentityError
from exchange.identity import OpeningKey, SigningKey

logger = logging.getLogger(__name__)

_Key = TypeVar("_Key")
_Stamp = tuple[tuple[int, int, int, int], ...]

AGAIN_S = 5.0
"""Real seconds before keys that could not be read are tried again, though nothing seems to have changed."""


class TeamPrivateKeys:
    """What opens envelopes, and what signs receipts, at present.

    Attributes:
        opening: one or more.
        receipt: the one in use.
    """

    def __init__(self, settings: Settings) -> None:
        """Read them.

        Raises:
            SettingsError: naming every file that is missing, readable by others or no such key.
        """
        self._settings = settings
        self._stamp = self._look()
        self._told = ""
        self._failed: tuple[_Stamp, float] | None = None
        self.opening, self.receipt = self._read()

    def renewed(self) -> bool:
        """Return whether there are other keys than at the last call, after taking them up. Cheap when there are not."""
        stamp = self._look()
        now = time.monotonic()
        if stamp == self._stamp or (self._failed and self._failed[0] == stamp and now - self._failed[1] < AGAIN_S):
            return False
        try:
            self.opening, self.receipt = self._read()
        except SettingsError as error:
            self._failed = stamp, now
            if self._told != error.why.en:
                self._told = error.why.en
                logger.warning("the new keys cannot be read, the present ones go on: %s", error.why.en)
            return False
        self._stamp, self._told, self._failed = stamp, "", None
        logger.info("new keys taken up: %d opening keys, receipts by %s", len(self.opening), self.receipt.id)
        return True

    def _read(self) -> tuple[tuple[OpeningKey, ...], SigningKey]:
        faults: list[Sentence] = []
        opening: dict[str, OpeningKey] = {}
        for path in self._settings.opening_keys:
            files = sorted(path.glob("*.key")) if path.is_dir() else [path]
            for file in files:
                key = _load(OpeningKey.load, file, "inbox.opening_keys", faults)
                if key is not None:
                    opening[key.id] = key
        if not opening and not faults:
            faults.append(
                Sentence(
                    fr="inbox.opening_keys : aucune clé dans ce dossier (veilleur-desk keys createteam)",
                    en="inbox.opening_keys: no key in that folder (veilleur-desk keys createteam)",
                )
            )
        receipt = self._receipt(faults)
        if faults or receipt is None:
            raise SettingsError(str(self._settings.path), tuple(faults))
        return tuple(opening.values()), receipt

    def _receipt(self, faults: list[Sentence]) -> SigningKey | None:
        path = self._settings.receipt_key
        if path.is_dir():
            try:
                path /= read_state(path).receipt_in_use.file
            except KeyringError as error:
                faults.append(
                    Sentence(fr=f"inbox.receipt_key : {error.why.fr}", en=f"inbox.receipt_key: {error.why.en}")
                )
                return None
        return _load(SigningKey.load, path, "inbox.receipt_key", faults)

    def _look(self) -> _Stamp:
        """Return what changes when a key comes or goes; zeros for what is not there."""
        paths = [*self._settings.opening_keys, self._settings.receipt_key]
        if self._settings.receipt_key.is_dir():
            paths.append(self._settings.receipt_key / NAME)
        return tuple(_stamp(path) for path in paths)


def load_keys(settings: Settings) -> TeamPrivateKeys:
    """Read the keys that the settings name, and look whether the broker's files can be read.

    Raises:
        SettingsError: naming every file that is missing, readable by others or no such key.
    """
    faults: list[Sentence] = []
    keys: TeamPrivateKeys | None = None
    try:
        keys = TeamPrivateKeys(settings)
    except SettingsError as error:
        faults += error.faults
    broker = settings.broker
    for where, path in (("ca", broker.ca), ("certificate", broker.certificate), ("key", broker.key)):
        # The link reads them again at each connection; here an installer is told at once.
        if not os.access(path, os.R_OK):
            faults.append(
                Sentence(
                    fr=f"broker.{where}\u00a0: le fichier {path} est absent ou illisible",
                    en=f"broker.{where}: the file {path} is missing or cannot be read",
                )
            )
    if keys is None or faults:
        raise SettingsError(str(settings.path), tuple(faults))
    return keys


def _load(load: Callable[[Path], _Key], path: Path, where: str, faults: list[Sentence]) -> _Key | None:
    try:
        return load(path)
    except IdentityError as error:
        faults.append(
            Sentence(
                fr=f"{where} : la clé {path} est absente, illisible, ouverte à d'autres ou d'un autre type "
                "(la faire créer, ou 'chmod 600')",
                en=f"{where}: {error} ({error.hint.rstrip('.')})",
            )
        )
        return None


def _stamp(path: Path) -> tuple[int, int, int, int]:
    try:
        found = path.stat()
        # Two files that come within one tick of the clock leave the folder's time as it was.
        inside = sum(1 for _ in path.iterdir()) if path.is_dir() else found.st_size
    except OSError:
        return 0, 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, inside

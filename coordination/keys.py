"""The team's private keys and certificates: read at the start, or a sentence that says which file to put right."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alerting.alert import Sentence
from coordination.errors import SettingsError
from coordination.settings import Settings
from exchange.errors import IdentityError
from exchange.identity import OpeningKey, SigningKey

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamPrivateKeys:
    """What opens envelopes, and what signs receipts."""

    opening: tuple[OpeningKey, ...]
    receipt: SigningKey


def load_keys(settings: Settings) -> TeamPrivateKeys:
    """Read the keys that the settings name.

    Raises:
        SettingsError: naming every file that is missing, readable by others or no such key.
    """
    faults: list[Sentence] = []
    opening = [_load(OpeningKey.load, path, "inbox.opening_keys", faults) for path in settings.opening_keys]
    receipt = _load(SigningKey.load, settings.receipt_key, "inbox.receipt_key", faults)
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
    if faults or receipt is None:
        raise SettingsError(str(settings.path), tuple(faults))
    return TeamPrivateKeys(opening=tuple(key for key in opening if key is not None), receipt=receipt)


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

"""The file `keyring.json` of the team's key folder: which keys there are, since when, and the list that names them.

    keyring.json   what this module reads and writes; holds no secret, but nobody else's business
    team-list      the newest list, signed by the root, as boxes take it
    opening/       private keys of the team: the inbox reads every one of them
    on-call/       private keys of the on-call team; escrow/ of the one who keeps the last resort
    receipt/       private keys that sign receipts

The root's key is in no folder of these: it is kept offline, and shown for each new list. What is not here: which key
replaces which and when (keyring.py).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Sentence
from coordination.errors import KeyringError
from exchange.errors import UNDECODABLE, IdentityError
from exchange.identity import KeyId, OpeningKey, PublicHex, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.key_file import read_private, replace
from exchange.messages import Milliseconds
from exchange.team_list import MAX_SUCCESSIONS, TeamList

NAME = "keyring.json"
LIST = "team-list"
RECEIPT_FOLDER = "receipt"
FOLDERS = {RecipientRole.TEAM: "opening", RecipientRole.ON_CALL: "on-call", RecipientRole.ESCROW: "escrow"}
MOST_KEYS = 4096


class Purpose(StrEnum):
    """What a key is for."""

    OPENING = "opening"
    RECEIPT = "receipt"


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One private key of the folder.

    Attributes:
        id: of the key.
        purpose: what it does.
        file: inside the folder.
        role: of an opening key.
        made_at: ms UTC.
        used_from: of a receipt key: since when receipts are signed with it, ms UTC; None: announced only.
        retired_at: since when it is in no list, ms UTC; None: the present list names it.
    """

    id: KeyId
    purpose: Purpose
    file: Annotated[str, Meta(pattern=r"^(opening|on-call|escrow|receipt)/[a-z0-9_.-]{1,80}\Z")]
    role: RecipientRole | None = None
    made_at: Milliseconds
    used_from: Milliseconds | None = None
    retired_at: Milliseconds | None = None


class Handover(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A succession of roots, in hexadecimal."""

    public: PublicHex
    signature: Annotated[str, Meta(pattern="^[0-9a-f]{128}\\Z")]


class State(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that the file says.

    Attributes:
        root: the present root's public key.
        successions: how it follows from the first one, oldest first.
        team: the newest list.
        entries: every key whose private half is kept in the folder.
    """

    root: PublicHex
    successions: Annotated[tuple[Handover, ...], Meta(max_length=MAX_SUCCESSIONS)] = ()
    team: TeamList
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MOST_KEYS)]

    @property
    def receipt_in_use(self) -> Entry:
        """The key that signs receipts now; `read_state` refuses a file without any."""
        used = [entry for entry in reversed(self.entries) if entry.used_from is not None]
        return max(used, key=lambda entry: entry.used_from or 0)


def read_state(folder: Path) -> State:
    """Read the file.

    Raises:
        KeyringError: missing, readable by others, or not such a file.
    """
    try:
        state = msgspec.json.decode(read_private(folder / NAME), type=State)
    except IdentityError as error:
        raise KeyringError(
            Sentence(
                fr=f"{folder / NAME} est absent, illisible, ou lisible par d'autres.",
                en=f"{folder / NAME} is missing, cannot be read, or can be read by others.",
            ),
            hint=Sentence(
                fr="Vérifier le dossier et son propriétaire ('chmod 600'), ou faire créer les clés : "
                "veilleur-desk keys createteam.",
                en="Check the folder and its owner ('chmod 600'), or have the keys made: "
                "veilleur-desk keys createteam.",
            ),
        ) from error
    except UNDECODABLE as error:
        raise _damaged(folder, str(error)) from error
    if all(entry.used_from is None for entry in state.entries):
        raise _damaged(folder, "no receipt key")
    return state


def write_state(folder: Path, state: State, signed: bytes) -> None:
    """Write the file, and after it the list that boxes take.

    In this order: were it cut off between the two, the next list would get a version that no box has seen.

    Raises:
        KeyringError: the disk refuses.
    """
    try:
        replace(folder / NAME, msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n", mode=0o600)
        replace(folder / LIST, signed, mode=0o644)
    except IdentityError as error:
        raise unwritable(folder, str(error)) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process: two who change it at once would sign two lists of one version.

    Raises:
        KeyringError: there is no such folder, or somebody holds it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyringError(
            Sentence(
                fr=f"Le dossier {folder} ne peut pas servir ({error.strerror}).",
                en=f"The folder {folder} cannot be used ({error.strerror}).",
            ),
            hint=Sentence(
                fr="Donner le bon avec --folder, ou faire créer les clés : veilleur-desk keys createteam.",
                en="Give the right one with --folder, or have the keys made: veilleur-desk keys createteam.",
            ),
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise KeyringError(
            Sentence(
                fr=f"Une autre commande change les clés de {folder}.",
                en=f"Another command is changing the keys of {folder}.",
            ),
            hint=Sentence(fr="Attendre sa fin, puis recommencer.", en="Wait until it ends, then try again."),
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def load_root(path: Path) -> SigningKey:
    """Read the root's private key.

    Raises:
        KeyringError: missing, readable by others, or no such key.
    """
    try:
        return SigningKey.load(path)
    except IdentityError as error:
        raise refused(error) from error


def new_opening(folder: Path, role: RecipientRole, *, hybrid: bool, now_ms: int) -> tuple[Recipient, Entry]:
    """Make an opening key in its file; no list names it yet.

    Raises:
        KeyringError: the disk refuses.
    """
    key = OpeningKey.generate(hybrid=hybrid)
    file = f"{FOLDERS[role]}/{_day(now_ms)}-{key.id}.key"
    _save(key, folder / file)
    entry = Entry(id=key.id, purpose=Purpose.OPENING, file=file, role=role, made_at=now_ms)
    return Recipient.of(key, role), entry


def new_receipt(folder: Path, now_ms: int) -> tuple[ReceiptSigner, Entry]:
    """Make a receipt key in its file; no list names it yet.

    Raises:
        KeyringError: the disk refuses.
    """
    key = SigningKey.generate()
    file = f"{RECEIPT_FOLDER}/{_day(now_ms)}-{key.id}.key"
    _save(key, folder / file)
    return ReceiptSigner.of(key), Entry(id=key.id, purpose=Purpose.RECEIPT, file=file, made_at=now_ms)


def _save(key: OpeningKey | SigningKey, path: Path) -> None:
    try:
        key.save(path)
    except IdentityError as error:
        raise unwritable(path.parent, str(error)) from error


def destroy(path: Path) -> Path:
    """Remove a private key, and return where it was.

    Raises:
        KeyringError: the disk refuses.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, str(error)) from error
    return path


def _day(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")


def refused(error: IdentityError) -> KeyringError:
    """Return what to say of a key file that cannot be used."""
    return KeyringError(
        Sentence(fr=f"Cette clé ne peut pas servir ({error}).", en=f"This key cannot be used ({error})."),
        hint=Sentence(fr="Vérifier le chemin, le propriétaire et le mode (600).", en=error.hint),
    )


def signed_list(folder: Path) -> bytes:
    """Return the newest list as boxes take it.

    Raises:
        KeyringError: there is none.
    """
    try:
        return (folder / LIST).read_bytes()
    except OSError as error:
        raise KeyringError(
            Sentence(fr=f"{folder / LIST} est illisible.", en=f"{folder / LIST} cannot be read."),
            hint=Sentence(fr="La refaire : veilleur-desk keys rotate.", en="Make it again: veilleur-desk keys rotate."),
        ) from error


def unwritable(folder: Path, why: str) -> KeyringError:
    """Return what to say of a disk that refuses."""
    return KeyringError(
        Sentence(fr=f"{folder} ne peut pas être écrit ({why}).", en=f"{folder} cannot be written ({why})."),
        hint=Sentence(fr="Vérifier le dossier et la place.", en="Check the folder and its room."),
    )


def _damaged(folder: Path, why: str) -> KeyringError:
    return KeyringError(
        Sentence(fr=f"{folder / NAME} est abîmé ({why}).", en=f"{folder / NAME} is damaged ({why})."),
        hint=Sentence(fr="Le remettre depuis une sauvegarde.", en="Restore it from a backup."),
    )

"""Where the box's own key lives, what is known of how well it is protected there, and how another takes its place.

From the best place to the last: a systemd credential sealed to the machine's TPM2, one sealed to the machine's own key
file, a file that only the box can read. What a place is worth is read from what lies on the machine and never guessed:
a credential arrives in clear, so that only its sealed form, where it is found, tells to what it is sealed.

A new key file is written beside the old one (`next_file`) before anything is wrapped under it, and takes its name once
everything is. A stop in between leaves both, and the database says which holds (`wrapped_keys`).

Not here: what the key wraps.
"""

import base64
import binascii
import contextlib
import os
import secrets
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from agent.errors import VaultError
from agent.settings import Settings, VaultSettings
from agent.vault import KEY_BYTES, Vault
from alerting.alert import Sentence
from exchange.durable_file import sync_folder

NEXT: Final = "-next"
"""Ends the name of the credential that is to follow."""
UNIT: Final = "veilleur.service"
_SEALED_FOLDERS: Final = tuple(Path(name, "credstore.encrypted") for name in ("/etc", "/run", "/usr/lib"))
_CREDENTIALS: Final = Path("/run/credentials")
_LONGEST_SEALED: Final = 1 << 16


def make_kek_file(path: Path, *, database: Path) -> None:
    """Make the key file with 32 random bytes and mode 0600, unless it is there; all of it or nothing.

    Raises:
        VaultError: it cannot be made; or `database` is there, which another key has sealed.
    """
    if path.exists():
        return
    if database.exists():
        raise VaultError(
            Sentence(
                fr=f"La clé {path} manque, alors que la base {database} existe.",
                en=f"The key {path} is missing although the database {database} is there.",
            ),
            Sentence(
                fr="Remettre la clé d'origine, ou mettre la base de côté : une nouvelle commencera.",
                en="Restore the original key, or move the database aside: a new one will begin.",
            ),
        )
    write_kek(path, secrets.token_bytes(KEY_BYTES))


def write_kek(path: Path, key: bytes) -> None:
    """Write a key file, mode 0600, complete and on the disk or not at all; one that is there is replaced.

    Raises:
        VaultError: it cannot be made.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise VaultError(
            Sentence(
                fr=f"Le fichier de clé {path} ne peut pas être créé ({error.strerror}).",
                en=f"The key file {path} cannot be made ({error.strerror}).",
            ),
            Sentence(fr="Vérifier le dossier et son propriétaire.", en="Check the folder and its owner."),
        ) from error


def kek_from_file(path: Path) -> bytes:
    """Return the KEK in a file of 32 bytes.

    Raises:
        VaultError: the file is not there, can be read by others, or has another length.
    """
    try:
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise VaultError(
            Sentence(
                fr=f"Le fichier de clé {path} ne peut pas être lu ({error.strerror}).",
                en=f"The key file {path} cannot be read ({error.strerror}).",
            ),
            Sentence(fr="Le boîtier a-t-il déjà démarré ?", en="Has the box been started?"),
        ) from error
    if mode & 0o077:
        raise VaultError(
            Sentence(
                fr=f"Le fichier de clé {path} est lisible par d'autres.",
                en=f"The key file {path} can be read by others.",
            ),
            Sentence(fr=f"Faire « chmod 600 {path} ».", en=f"Run 'chmod 600 {path}'."),
        )
    return _checked(key, str(path))


def kek_from_credential(name: str) -> bytes:
    """Return the KEK that systemd hands over as a credential.

    Raises:
        VaultError: the unit has no such credential.
    """
    path = _credential(name)
    if path is None:
        raise VaultError(
            Sentence(fr=f"systemd n'a pas fourni la clé « {name} ».", en=f"systemd gave no credential '{name}'."),
            Sentence(
                fr=f"Ajouter LoadCredentialEncrypted={name} à l'unité.",
                en=f"Add LoadCredentialEncrypted={name} to the unit.",
            ),
        )
    return _checked(path.read_bytes(), f"credential {name}")


def _checked(key: bytes, place: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise VaultError(
            Sentence(
                fr=f"La clé ({place}) a {len(key)} octets au lieu de {KEY_BYTES}.",
                en=f"The key ({place}) has {len(key)} bytes instead of {KEY_BYTES}.",
            ),
            Sentence(
                fr="Remettre la bonne clé : sans elle, ce que le boîtier garde ne peut être lu.",
                en="Restore the right key: without it what the box keeps cannot be read.",
            ),
        )
    return key


def _credential(name: str) -> Path | None:
    """Return the file of a credential: of this unit's own, or of the box's unit for whoever may look at it."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, name) if folder else _CREDENTIALS / UNIT / name
    with contextlib.suppress(OSError):
        if path.is_file():
            return path
    return None


def next_file(path: Path) -> Path:
    """Return where the key file lies that is to follow this one."""
    return path.with_name(path.name + NEXT)


def open_vault(settings: Settings) -> Vault:
    """Return the vault with the key from the place that the settings name, and the one that is to follow, if any.

    Raises:
        VaultError: the key is missing, too open, or of the wrong length.
    """
    place = settings.vault
    if place.key_file is not None:
        kek = kek_from_file(place.key_file)
        follows = next_file(place.key_file)
        return Vault(kek, box=settings.box, next_kek=kek_from_file(follows) if follows.exists() else None)
    name = place.credential or ""
    kek = kek_from_credential(name)
    follows_kek = None if _credential(name + NEXT) is None else kek_from_credential(name + NEXT)
    return Vault(kek, box=settings.box, next_kek=follows_kek)


def settle_key_file(place: VaultSettings, vault: Vault) -> None:
    """End a rotation of the key file that was cut short: the key that the database is wrapped with stays, alone.

    Raises:
        VaultError: the files cannot be changed.
    """
    if place.key_file is None or not next_file(place.key_file).exists():
        return
    if vault.uses_next:
        put_in_place(place.key_file)
    else:
        _destroy(next_file(place.key_file))


def put_in_place(path: Path) -> None:
    """Let the key file that followed take the place of `path`, which is overwritten and gone.

    Raises:
        VaultError: the files cannot be changed.
    """
    try:
        _overwrite(path)
        next_file(path).replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unchanged(path, error) from error


def _destroy(path: Path) -> None:
    try:
        _overwrite(path)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise _unchanged(path, error) from error


def destroy_key_file(path: Path) -> None:
    """Overwrite and remove a key file and the one that was to follow it.

    Raises:
        VaultError: they cannot be removed.
    """
    for one in (next_file(path), path):
        _destroy(one)


def _overwrite(path: Path) -> None:
    """Overwrite a file in place: on a plain disk nothing of it stays, on a flash its old block may (docs/keys.md)."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _unchanged(path: Path, error: OSError) -> VaultError:
    return VaultError(
        Sentence(
            fr=f"Le fichier de clé {path} ne peut pas être remplacé ({error.strerror}).",
            en=f"The key file {path} cannot be replaced ({error.strerror}).",
        ),
        Sentence(
            fr="Vérifier le dossier et son propriétaire, puis redémarrer le boîtier : il termine le changement.",
            en="Check the folder and its owner, then restart the box: it ends the change.",
        ),
    )


# --- what a place is worth ------------------------------------------------------------------------------------


class Sealing(Enum):
    """To what a systemd credential is sealed, as far as it can be known."""

    TPM2 = "tpm2"
    HOST_AND_TPM2 = "host+tpm2"
    HOST = "host"
    NOTHING = "null"
    UNKNOWN = "unknown"


# The first 16 bytes of a sealed credential: systemd 257, src/shared/creds-util.h.
_KINDS: Final = {
    "5a1c6a86df9d4096b1d5a65e0862f19a": Sealing.HOST,
    "55b9ed1d38594d43a8319d2ebb332ac6": Sealing.HOST,
    "0c7cc07b117645919c4b0bea08bc20fe": Sealing.TPM2,
    "faf7eb9341e3412ca1a436f95a29362f": Sealing.TPM2,
    "93a894094874449090caf2fc93cab553": Sealing.HOST_AND_TPM2,
    "ef4ac13679a9480ea7db68897f9f165d": Sealing.HOST_AND_TPM2,
    "af4950a849134eb1a73846304ff30c05": Sealing.HOST_AND_TPM2,
    "adbc4ca3efb64201ba881b6f2e4095ea": Sealing.HOST_AND_TPM2,
    "058469daf6f54324800549da0f8ea2fb": Sealing.NOTHING,
}

_WORDS: Final = {
    Sealing.TPM2: Sentence(
        fr="scellée à la puce TPM2 de cette machine : une carte volée seule ne l'ouvre pas",
        en="sealed to this machine's TPM2: a stolen card alone does not open it",
    ),
    Sealing.HOST_AND_TPM2: Sentence(
        fr="scellée à la puce TPM2 et à la clé de cette machine : une carte volée seule ne l'ouvre pas",
        en="sealed to this machine's TPM2 and its own key: a stolen card alone does not open it",
    ),
    Sealing.HOST: Sentence(
        fr="scellée à la clé de cette machine, qui est sur la même carte sauf réglage contraire : protège une copie de "
        "la base, pas une carte volée",
        en="sealed to this machine's own key, which lies on the same card unless it was moved: protects a copy of the "
        "database, not a stolen card",
    ),
    Sealing.NOTHING: Sentence(
        fr="n'est scellée à rien : comme un fichier en clair",
        en="sealed to nothing: as good as a plain file",
    ),
    Sealing.UNKNOWN: Sentence(
        fr="à quoi elle est scellée ne se voit pas d'ici",
        en="to what it is sealed cannot be seen from here",
    ),
}
_FILE: Final = Sentence(
    fr="fichier, sur la même carte que la base : protège une copie de la base, pas une carte volée",
    en="file, on the same card as the database: protects a copy of the database, not a stolen card",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where the key comes from.

    Attributes:
        kind: "file" or "systemd credential".
        sealing: of a credential, None of a file.
        words: what that is worth.
        follows: another key lies ready to take its place, or has taken it already.
    """

    kind: str
    sealing: Sealing | None
    words: Sentence
    follows: bool


def key_place(place: VaultSettings, *, folders: tuple[Path, ...] = _SEALED_FOLDERS) -> KeyPlace:
    """Return where the key comes from and what that is worth.

    Args:
        place: the settings.
        folders: where systemd looks for sealed credentials that a unit names without a path (systemd.exec(5)).
    """
    if place.key_file is not None:
        return KeyPlace(kind="file", sealing=None, words=_FILE, follows=next_file(place.key_file).exists())
    name = place.credential or ""
    sealing = next((kind for folder in folders if (kind := _sealing(folder / name)) is not None), Sealing.UNKNOWN)
    words = _WORDS[sealing]
    return KeyPlace(
        kind="systemd credential",
        sealing=sealing,
        words=Sentence(fr=f"secret systemd, {words.fr}", en=f"systemd credential, {words.en}"),
        follows=_credential(name + NEXT) is not None,
    )


def _sealing(path: Path) -> Sealing | None:
    """Return to what the sealed form of a credential says that it is sealed; None where there is none."""
    try:
        with path.open("rb") as file:
            sealed = base64.b64decode(file.read(_LONGEST_SEALED), validate=False)
    except FileNotFoundError:
        return None
    except (OSError, binascii.Error):
        return Sealing.UNKNOWN
    return _KINDS.get(sealed[:16].hex(), Sealing.UNKNOWN)

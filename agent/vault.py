"""The box's own keys: where they live, what they open.

- One key-encryption key (KEK) comes from the best place the machine offers: a systemd credential, else a file
  that nobody else can read. It is random; there is no default.
- A fresh data key is made at every start, each day and every 2^20 seals, and kept wrapped under the KEK. So a
  random 96-bit nonce never meets the same key twice (SP 800-38D, 8.3), not even after a restored backup.
- Associated data binds every sealed row to its box, table and row: a row copied or swapped does not open.

Not here: the keys of the team and the box's signing key (exchange), and where sealed rows are kept (store).
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.database import sync_folder
from agent.errors import NotReadyError, VaultError
from agent.settings import Settings
from alerting.alert import Sentence

KEY_BYTES = 32
NONCE_BYTES = 12
SEALS_PER_KEY = 2**20
DAY_MS = 86_400_000


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
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
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
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, name) if folder else None
    if path is None or not path.is_file():
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


class Vault:
    """Seals and opens the rows of one box."""

    def __init__(self, kek: bytes, *, box: str) -> None:
        """`kek` has 32 bytes; `box` is bound into everything sealed."""
        self._kek = AESGCM(kek)
        self._box = box
        self._index = hmac.new(kek, b"veilleur index|" + box.encode(), hashlib.sha256).digest()
        self._opened: dict[int, AESGCM] = {}
        self._current: int | None = None
        self._seals = 0
        self._born = 0

    def needs_key(self, now_ms: int) -> bool:
        """Return whether a fresh data key must be made before the next seal."""
        return self._current is None or self._seals >= SEALS_PER_KEY or now_ms // DAY_MS != self._born // DAY_MS

    def new_key(self, number: int) -> bytes:
        """Make data key `number` and return it wrapped, for the store to keep before `use_key`."""
        key = secrets.token_bytes(KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._opened[number] = AESGCM(key)
        return nonce + self._kek.encrypt(nonce, key, self._context("data_key", number))

    def use_key(self, number: int, now_ms: int) -> None:
        """Seal with data key `number` from now on."""
        self._current, self._seals, self._born = number, 0, now_ms

    def open_key(self, number: int, wrapped: bytes) -> None:
        """Unwrap a kept data key.

        Raises:
            VaultError: the KEK is not the one it was wrapped with, or the row was altered.
        """
        try:
            key = self._kek.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], self._context("data_key", number))
        except InvalidTag as error:
            raise VaultError(
                Sentence(
                    fr="La base de données ne s'ouvre pas avec la clé de ce boîtier.",
                    en="The database does not open with the key of this box.",
                ),
                Sentence(
                    fr="Remettre la clé d'origine, ou mettre la base de côté : une nouvelle commencera.",
                    en="Restore the original key, or move the database aside: a new one will begin.",
                ),
            ) from error
        self._opened[number] = AESGCM(key)

    def seal(self, table: str, row: int | str, plaintext: bytes) -> bytes:
        """Return key number (4 bytes), nonce and ciphertext, bound to the table and row.

        Raises:
            NotReadyError: no data key was made yet.
        """
        if self._current is None:
            raise NotReadyError("no data key was made yet")
        self._seals += 1
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._opened[self._current].encrypt(nonce, plaintext, self._context(table, row))
        return self._current.to_bytes(4, "big") + nonce + sealed

    def open(self, table: str, row: int | str, sealed: bytes) -> bytes:
        """Return the plaintext of a row.

        Raises:
            VaultError: the row was altered, moved, or belongs to another box.
        """
        number = int.from_bytes(sealed[:4], "big")
        nonce, ciphertext = sealed[4 : 4 + NONCE_BYTES], sealed[4 + NONCE_BYTES :]
        try:
            return self._opened[number].decrypt(nonce, ciphertext, self._context(table, row))
        except (KeyError, InvalidTag) as error:
            raise VaultError(
                Sentence(
                    fr=f"La base de données a été altérée ({table} {row}).",
                    en=f"The database was altered ({table} {row}).",
                ),
                Sentence(
                    fr="La mettre de côté et redémarrer ; ce qui a été transmis est en sécurité chez l'équipe.",
                    en="Move it aside and restart; what was sent is safe with the team.",
                ),
            ) from error

    def digest(self, *parts: str) -> bytes:
        """Return 16 bytes that stand for `parts` in an index, without saying what they are."""
        return hmac.new(self._index, "\x1f".join(parts).encode(), hashlib.sha256).digest()[:16]

    def _context(self, table: str, row: int | str) -> bytes:
        return f"veilleur|{self._box}|{table}|{row}".encode()


def open_vault(settings: Settings) -> Vault:
    """Return the vault with the key from the place that the settings name.

    Raises:
        VaultError: the key is missing, too open, or of the wrong length.
    """
    if settings.vault.key_file is not None:
        kek = kek_from_file(settings.vault.key_file)
    else:
        kek = kek_from_credential(settings.vault.credential or "")
    return Vault(kek, box=settings.box)

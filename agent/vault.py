"""The box's own keys: what they seal and open.

- One key-encryption key (KEK) wraps all others. It is random; there is no default (key_places).
- A fresh data key is made at every start, each day and every 2^20 seals, and kept wrapped under the KEK. So a
  random 96-bit nonce never meets the same key twice (SP 800-38D, 8.3), not even after a restored backup.
- Associated data binds every sealed row to its box, table and row: a row copied or swapped does not open.

Not here: where the KEK lives (key_places), the wrapped keys in the database (wrapped_keys), the keys of the team and
the box's signing key (exchange), and where sealed rows are kept (store).
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import NotReadyError, VaultError
from alerting.alert import Sentence

KEY_BYTES = 32
NONCE_BYTES = 12
SEALS_PER_KEY = 2**20
DAY_MS = 86_400_000


def _require_bytes(value: object) -> None:
    """Refuse what a damaged row gives in place of bytes."""
    if not isinstance(value, bytes):
        raise TypeError(type(value).__name__)


class Vault:
    """Seals and opens the rows of one box."""

    def __init__(self, kek: bytes, *, box: str, next_kek: bytes | None = None) -> None:
        """Begin with the box's key.

        Args:
            kek: 32 bytes.
            box: is bound into everything sealed.
            next_kek: the one that is to follow, or has followed already where a rotation was cut short: `choose`.
        """
        self._keks = (kek,) if next_kek is None else (kek, next_kek)
        self._box = box
        # Replaced by a random one as soon as a database has it.
        self._index = self._derived_index(kek)
        self._opened: dict[int, AESGCM] = {}
        self._find: Callable[[int], bytes | None] | None = None
        self.highest = 0
        """The highest number that a data key of this vault had."""
        self._use(kek)
        self._current: int | None = None
        self._seals = 0
        self._born = 0

    @property
    def box(self) -> str:
        """The box whose rows these are."""
        return self._box

    def finds_by(self, find: Callable[[int], bytes | None]) -> None:
        """Ask `find` for the wrapped data key of a number that is not known: a command beside the box may make one."""
        self._find = find

    def _use(self, kek: bytes) -> None:
        self._kek = AESGCM(kek)
        self.fingerprint = self.fingerprint_of(kek)

    def _derived_index(self, kek: bytes) -> bytes:
        return hmac.new(kek, b"veilleur index|" + self._box.encode(), hashlib.sha256).digest()

    # --- the box's key ------------------------------------------------------------------------------------

    def fingerprint_of(self, kek: bytes) -> bytes:
        """Return 8 bytes that tell a key of this box from another without saying what it is."""
        return hmac.new(kek, b"veilleur kek|" + self._box.encode(), hashlib.sha256).digest()[:8]

    def choose(self, fingerprint: bytes) -> bool:
        """Use the one of the box's keys that has this fingerprint; return whether one has."""
        for kek in self._keks:
            if self.fingerprint_of(kek) == fingerprint:
                self._use(kek)
                return True
        return False

    @property
    def uses_next(self) -> bool:
        """Whether the key that is used is the one that was to follow."""
        return len(self._keks) == 2 and self.fingerprint == self.fingerprint_of(self._keks[1])

    @property
    def next_kek(self) -> bytes | None:
        """The key that is to follow, None when there is none or it has followed already."""
        return self._keks[1] if len(self._keks) == 2 and not self.uses_next else None

    def adopt(self, kek: bytes) -> None:
        """Wrap with another key from now on: everything kept is under it."""
        self._keks = (kek,)
        self._use(kek)

    def wrapped_anew(self, number: int | str, wrapped: bytes, kek: bytes) -> bytes:
        """Return a wrapped key as it is under another key of the box.

        Raises:
            VaultError: it does not open.
        """
        return self._wrap(AESGCM(kek), number, self._unwrap(number, wrapped))

    # --- what it wraps ------------------------------------------------------------------------------------

    @property
    def current(self) -> int | None:
        """The number of the data key that seals now."""
        return self._current

    def new_index(self, *, derived: bool) -> bytes:
        """Make the key of the digests and return it wrapped; `derived`: the one that a database of before has."""
        if not derived:
            self._index = secrets.token_bytes(KEY_BYTES)
        return self._wrap(self._kek, "index_key", self._index)

    def open_index(self, wrapped: bytes) -> None:
        """Unwrap the key of the digests.

        Raises:
            VaultError: it does not open.
        """
        self._index = self._unwrap("index_key", wrapped)

    def forget_key(self, number: int) -> None:
        """Know a data key no more."""
        self._opened.pop(number, None)

    def needs_key(self, now_ms: int) -> bool:
        """Return whether a fresh data key must be made before the next seal."""
        return self._current is None or self._seals >= SEALS_PER_KEY or now_ms // DAY_MS != self._born // DAY_MS

    def new_key(self, number: int, *, under: bytes | None = None) -> bytes:
        """Make data key `number` and return it wrapped, for the store to keep before `use_key`.

        It is wrapped under the box's key, or the one that is to take its place.
        """
        key = secrets.token_bytes(KEY_BYTES)
        self._remember(number, key)
        return self._wrap(self._kek if under is None else AESGCM(under), number, key)

    def _remember(self, number: int, key: bytes) -> None:
        self._opened[number] = AESGCM(key)
        self.highest = max(self.highest, number)

    def _wrap(self, kek: AESGCM, number: int | str, key: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + kek.encrypt(nonce, key, self._context("data_key", number))

    def use_key(self, number: int, now_ms: int, *, seals: int = 0) -> None:
        """Seal with data key `number` from now on; `seals` of it were made already."""
        self._current, self._seals, self._born = number, seals, now_ms

    def open_key(self, number: int, wrapped: bytes) -> None:
        """Unwrap a kept data key.

        Raises:
            VaultError: the KEK is not the one it was wrapped with, or the row was altered.
        """
        self._remember(number, self._unwrap(number, wrapped))

    def _unwrap(self, number: int | str, wrapped: bytes) -> bytes:
        try:
            _require_bytes(wrapped)
            return self._kek.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], self._context("data_key", number))
        except (InvalidTag, TypeError, ValueError) as error:
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

    def seal(self, table: str, row: int | str, plaintext: bytes) -> bytes:
        """Return key number (4 bytes), nonce and ciphertext, bound to the table and row.

        Raises:
            NotReadyError: no data key was made yet.
        """
        if self._current is None:
            raise NotReadyError("no data key was made yet")
        self._seals += 1
        return self.seal_with(self._current, table, row, plaintext)

    def seal_with(self, number: int, table: str, row: int | str, plaintext: bytes) -> bytes:
        """Seal with a certain data key, which the caller counts the seals of (`SEALS_PER_KEY`)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._opened[number].encrypt(nonce, plaintext, self._context(table, row))
        return number.to_bytes(4, "big") + nonce + sealed

    def open(self, table: str, row: int | str, sealed: bytes) -> bytes:
        """Return the plaintext of a row.

        Raises:
            VaultError: the row was altered, moved, or belongs to another box.
        """
        try:
            _require_bytes(sealed)
            number = int.from_bytes(sealed[:4], "big")
            if number not in self._opened and self._find is not None and (wrapped := self._find(number)) is not None:
                self.open_key(number, wrapped)
            nonce, ciphertext = sealed[4 : 4 + NONCE_BYTES], sealed[4 + NONCE_BYTES :]
            return self._opened[number].decrypt(nonce, ciphertext, self._context(table, row))
        except (KeyError, InvalidTag, TypeError, ValueError) as error:
            raise VaultError(
                Sentence(
                    fr=f"La base de données a été altérée ({table} {row}).",
                    en=f"The database was altered ({table} {row}).",
                ),
                Sentence(
                    fr="Cette ligne est écartée ; ce qui a été transmis est en sécurité chez l'équipe.",
                    en="This row is left out; what was sent is safe with the team.",
                ),
            ) from error

    def digest(self, *parts: str) -> bytes:
        """Return 16 bytes that stand for `parts` in an index, without saying what they are."""
        return hmac.new(self._index, "\x1f".join(parts).encode(), hashlib.sha256).digest()[:16]

    def _context(self, table: str, row: int | str) -> bytes:
        return f"veilleur|{self._box}|{table}|{row}".encode()

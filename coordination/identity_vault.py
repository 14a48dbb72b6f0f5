"""Who a patient is, sealed: under a key of their own, which is wrapped under the team's, a file beside the database.

- The database alone, a dump of it or a backup of it names nobody; nor does the file alone.
- Destroying a patient's wrapped key makes every copy of their sealed identity unreadable that has not the key as well.
- What is sealed is bound to the patient and padded to one length: neither a swap of two rows nor a length tells.
- A fresh key is made each time that an identity is written, so that a random 96-bit nonce never meets a key twice
  (SP 800-38D, 8.3).

`cryptography` is imported here and not in the authority: keys of certificates and of identities never meet.

What is not here: who may read it, why, and for how long (patient_acts, the desk), and the rows (desk.models.care).
"""

import secrets
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct

from alerting.alert import Sentence
from coordination.errors import CoordinationError
from exchange.durable_file import sync_folder
from exchange.errors import UNDECODABLE
from exchange.key_file import read_private, write_new

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
SEALED_BYTES: Final = 4096
"""What an identity is padded to; its longest fields fit."""
_KEY_LABEL: Final = b"veilleur/v1/identity-key\x00"
_LABEL: Final = b"veilleur/v1/identity\x00"
_LENGTH_BYTES: Final = 2

_Line = Annotated[str, Meta(max_length=120)]


class Person(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who a patient is, and who can be called.

    Attributes:
        born_on: ISO 8601 date, "" when it is not known.
        carer: who helps at home, "" for nobody.
    """

    family_name: _Line = ""
    given_name: _Line = ""
    born_on: Annotated[str, Meta(pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2})?\\Z")] = ""
    telephone: _Line = ""
    address: Annotated[str, Meta(max_length=240)] = ""
    carer: _Line = ""
    carer_telephone: _Line = ""
    physician: _Line = ""

    def __repr__(self) -> str:
        """Return nothing of the person."""
        return f"{type(self).__name__}(...)"


class IdentityVault:
    """Seals and opens identities under the team's key."""

    def __init__(self, *keys: bytes) -> None:
        """`keys`: 32 bytes each; the last one seals, each opens."""
        self._keys = tuple(map(AESGCM, keys))

    @classmethod
    def at(cls, path: Path) -> "IdentityVault":
        """Return the vault of a key file, which is made when there is none yet: mode 0600, random.

        A key that is to follow, and lies beside, seals already: see `begin_replacing`.

        Raises:
            IdentityError: others can read it, or it cannot be read or written.
            CoordinationError: it holds no key.
        """
        if not path.exists():
            write_new(path, secrets.token_bytes(KEY_BYTES))
        keys = [_read(path)]
        if _next(path).exists():
            keys.append(_read(_next(path)))
        return cls(*keys)

    def seal(self, patient: int, person: Person) -> tuple[bytes, bytes]:
        """Return (wrapped key, sealed identity) of a patient (their row), under a fresh key.

        Raises:
            CoordinationError: too long.
        """
        key = secrets.token_bytes(KEY_BYTES)
        plain = msgspec.json.encode(person)
        if len(plain) > SEALED_BYTES - _LENGTH_BYTES:
            raise CoordinationError(
                Sentence(fr="L'identité est trop longue.", en="The identity is too long."),
                hint=Sentence(fr="Abréger l'adresse.", en="Shorten the address."),
            )
        padded = len(plain).to_bytes(_LENGTH_BYTES, "big") + plain.ljust(SEALED_BYTES - _LENGTH_BYTES, b"\0")
        return _encrypt(self._keys[-1], key, _KEY_LABEL, patient), _encrypt(AESGCM(key), padded, _LABEL, patient)

    def open(self, patient: int, wrapped: bytes, sealed: bytes) -> Person:
        """Return who a patient (their row) is.

        Raises:
            CoordinationError: not sealed under this key, of another patient, or damaged.
        """
        try:
            key = self._unwrapped(patient, wrapped)
            padded = _decrypt(AESGCM(key), sealed, _LABEL, patient)
            length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
            return msgspec.json.decode(padded[_LENGTH_BYTES : _LENGTH_BYTES + length], type=Person)
        except (InvalidTag, ValueError, *UNDECODABLE) as error:
            raise CoordinationError(
                Sentence(fr="L'identité ne s'ouvre pas.", en="The identity does not open."),
                hint=Sentence(
                    fr="Vérifier que le fichier 'desk.identity_key' est celui de cette base, sinon la ressaisir.",
                    en="Check that the file 'desk.identity_key' is this database's, or else enter it again.",
                ),
            ) from error

    def wrapped_anew(self, patient: int, wrapped: bytes) -> bytes:
        """Return a patient's wrapped key as it is under the key that seals now.

        Raises:
            CoordinationError: none of the keys opens it.
        """
        try:
            return _encrypt(self._keys[-1], self._unwrapped(patient, wrapped), _KEY_LABEL, patient)
        except (InvalidTag, ValueError) as error:
            raise CoordinationError(
                Sentence(fr="Une identité ne s'ouvre sous aucune des clés.", en="An identity opens under no key."),
                hint=Sentence(
                    fr="Rien n'a été changé : remettre la clé de la sauvegarde, puis recommencer.",
                    en="Nothing was changed: put the key back from the backup, then try again.",
                ),
            ) from error

    def _unwrapped(self, patient: int, wrapped: bytes) -> bytes:
        for key in self._keys[:-1]:
            try:
                return _decrypt(key, wrapped, _KEY_LABEL, patient)
            except InvalidTag:
                continue
        return _decrypt(self._keys[-1], wrapped, _KEY_LABEL, patient)


def begin_replacing(path: Path) -> None:
    """Make the key that is to follow, beside the one in use, unless it lies there from a time that was cut short.

    Raises:
        IdentityError: it cannot be written.
    """
    if not _next(path).exists():
        write_new(_next(path), secrets.token_bytes(KEY_BYTES))


def end_replacing(path: Path) -> None:
    """Put the key that follows in the place of the other, once everything is under it."""
    _next(path).replace(path)
    sync_folder(path.parent)


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _read(path: Path) -> bytes:
    key = read_private(path)
    if len(key) != KEY_BYTES:
        raise CoordinationError(
            Sentence(fr=f"{path} n'est pas une clé d'identités.", en=f"{path} is no key of identities."),
            hint=Sentence(
                fr="Remettre le fichier de la sauvegarde : sans lui, aucune identité ne se lit.",
                en="Put the file back from the backup: without it no identity can be read.",
            ),
        )
    return key


def _encrypt(key: AESGCM, plain: bytes, label: bytes, patient: int) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, label + str(patient).encode())


def _decrypt(key: AESGCM, sealed: bytes, label: bytes, patient: int) -> bytes:
    return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], label + str(patient).encode())

"""A person's signing key: an Ed25519 key wrapped under a PIN that only they know, in a file or at the desk.

Rules of this room:

- The key is made where it is used. The PIN is in no file; it is turned into a key by Argon2id (RFC 9106), which makes
  each guess cost memory and time, and unwraps the signing key for one act only.
- What is wrapped is bound to its name and public half: neither can be exchanged.
- Whoever has the file can guess for as long as they like. So a PIN is long enough that guessing does not pay: at least
  8 characters, and 10 when they are digits only. 256 MiB and three passes took 0.9 s a guess on one 2020s core:
  10 digits are some 300 years of one core, 6 would be ten days.

`cryptography` is imported here and not in the authority: an authority's keys and a person's never meet.

What is not here: whose key it is (the team list says it, signed by the root), what is signed, and how often somebody
may try (the desk's `signing_keys`).
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Meta, Struct

from alerting.alert import Sentence
from coordination.errors import CoordinationError
from exchange.errors import UNDECODABLE, IdentityError
from exchange.identity import KeyId, PublicHex, SigningKey, key_id
from exchange.key_file import read_private, write_new
from exchange.messages import Name

FORMAT: Final = "veilleur person key 1"
SHORTEST_PIN = 8
SHORTEST_DIGITS = 10
LONGEST_PIN = 128
LEAST_MEMORY_KIB = 19_456
"""The least that is opened: OWASP's lowest advice for Argon2id (19 MiB, two passes)."""

_KEY_LENGTH = 32
_SALT_LENGTH = 16
_NONCE_LENGTH = 12


class WrongPinError(CoordinationError):
    """Another PIN than the one that wraps the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one guess at a PIN costs: KiB of memory, passes over it, lanes."""

    memory_kib: int = 262_144
    passes: int = 3
    lanes: int = 1


class _File(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: str
    name: Name
    id: KeyId
    public: PublicHex
    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    memory_kib: Annotated[int, Meta(ge=LEAST_MEMORY_KIB, le=1 << 21)]
    passes: Annotated[int, Meta(ge=2, le=64)]
    lanes: Annotated[int, Meta(ge=1, le=64)]
    nonce: Annotated[str, Meta(pattern="^[0-9a-f]{24}\\Z")]
    wrapped: Annotated[str, Meta(pattern="^[0-9a-f]{96}\\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKey:
    """The public part of a person's key: what the team list says of them."""

    name: str
    id: str
    public: str


def check_pin(pin: str) -> None:
    """Refuse a PIN that could be guessed by whoever has the file.

    Raises:
        CoordinationError: too short, too long, or the same character over and over.
    """
    shortest = SHORTEST_DIGITS if pin.isdigit() else SHORTEST_PIN
    if not shortest <= len(pin) <= LONGEST_PIN or len(set(pin)) < 4:
        raise CoordinationError(
            Sentence(fr="Ce code secret serait trop facile à deviner.", en="This PIN would be too easy to guess."),
            hint=Sentence(
                fr=f"Au moins {SHORTEST_PIN} caractères, ou {SHORTEST_DIGITS} chiffres, dont quatre différents.",
                en=f"At least {SHORTEST_PIN} characters, or {SHORTEST_DIGITS} digits, four of them different.",
            ),
        )


def new_wrapped_key(*, name: str, pin: str, cost: Cost | None = None) -> bytes:
    """Return a new key, wrapped: what a file of it holds.

    Raises:
        CoordinationError: the PIN is too easy.
    """
    check_pin(pin)
    cost = cost or Cost()
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    salt, nonce = secrets.token_bytes(_SALT_LENGTH), secrets.token_bytes(_NONCE_LENGTH)
    wrapping = _derive(pin, salt, cost)
    wrapped = AESGCM(wrapping).encrypt(nonce, private.private_bytes_raw(), _context(name, public.hex()))
    file = _File(
        format=FORMAT,
        name=name,
        id=key_id(public),
        public=public.hex(),
        salt=salt.hex(),
        memory_kib=cost.memory_kib,
        passes=cost.passes,
        lanes=cost.lanes,
        nonce=nonce.hex(),
        wrapped=wrapped.hex(),
    )
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def make_person_key(path: Path, *, name: str, pin: str, cost: Cost | None = None) -> PersonKey:
    """Make a key and write it, mode 0600, never over another; return its public part.

    Raises:
        CoordinationError: the PIN is too easy, or the file exists or cannot be written.
    """
    content = new_wrapped_key(name=name, pin=pin, cost=cost)
    try:
        write_new(path, content)
    except IdentityError as error:
        raise _unusable(path, error) from error
    return public_part(content)


def public_part(content: bytes, *, where: str = "") -> PersonKey:
    """Return the public part of a wrapped key.

    Raises:
        CoordinationError: it is none; `where` names it.
    """
    file = _parsed(content, where)
    return PersonKey(name=file.name, id=file.id, public=file.public)


def read_person_key(path: Path) -> PersonKey:
    """Return the public part of a key file.

    Raises:
        CoordinationError: missing, readable by others, or no such file.
    """
    return public_part(_content(path), where=str(path))


def open_person_key(path: Path, pin: str) -> SigningKey:
    """Return the key, for one act.

    Raises:
        CoordinationError: as for `read_person_key`, or the PIN is not the one.
    """
    return unwrap_key(_content(path), pin, where=str(path))


def unwrap_key(content: bytes, pin: str, *, where: str = "") -> SigningKey:
    """Return a wrapped key, for one act.

    Raises:
        WrongPinError: the PIN is not the one.
        CoordinationError: it is no wrapped key; `where` names it.
    """
    file = _parsed(content, where)
    cost = Cost(memory_kib=file.memory_kib, passes=file.passes, lanes=file.lanes)
    wrapping = _derive(pin, bytes.fromhex(file.salt), cost)
    try:
        raw = AESGCM(wrapping).decrypt(
            bytes.fromhex(file.nonce), bytes.fromhex(file.wrapped), _context(file.name, file.public)
        )
    except InvalidTag as error:
        raise WrongPinError(
            Sentence(fr="Ce code secret n'est pas celui de cette clé.", en="This is not the PIN of this key."),
            hint=Sentence(
                fr="Le retaper ; un code oublié ne se retrouve pas : faire une nouvelle clé et l'ajouter à la liste.",
                en="Type it again; a forgotten PIN cannot be found: make a new key and add it to the list.",
            ),
        ) from error
    return SigningKey(Ed25519PrivateKey.from_private_bytes(raw))


def _derive(pin: str, salt: bytes, cost: Cost) -> bytes:
    kdf = Argon2id(salt=salt, length=_KEY_LENGTH, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib)
    return kdf.derive(pin.encode())


def _context(name: str, public: str) -> bytes:
    return f"{FORMAT}\x00{name}\x00{public}".encode()


def _content(path: Path) -> bytes:
    try:
        return read_private(path)
    except IdentityError as error:
        raise _unusable(path, error) from error


def _parsed(content: bytes, where: str) -> _File:
    try:
        file = msgspec.json.decode(content, type=_File)
    except UNDECODABLE as error:
        raise _no_key(where) from error
    if file.format != FORMAT or file.id != key_id(bytes.fromhex(file.public)):
        raise _no_key(where)
    return file


def _no_key(where: str) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=f"{where} n'est pas une clé de signature personnelle.", en=f"{where} is no person's signing key."),
        hint=Sentence(
            fr="Donner le fichier fait par « veilleur-desk person-key ».",
            en="Give the file that 'veilleur-desk person-key' made.",
        ),
    )


def _unusable(path: Path, error: IdentityError) -> CoordinationError:
    return CoordinationError(
        Sentence(
            fr=f"Le fichier de clé {path} ne peut pas servir (absent, déjà présent, ou ouvert à d'autres).",
            en=f"The key file cannot be used: {error}.",
        ),
        hint=Sentence(
            fr=f"Vérifier le chemin ; « chmod 600 {path} » si personne d'autre n'a pu le copier.", en=error.hint
        ),
    )

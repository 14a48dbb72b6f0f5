"""The keys of a box and of its team: how they are born, kept on disk, and named.

Rules of this room:

- A private key is born where it is used and never leaves that machine; only public keys and a CSR do.
- A key file is written once, complete or not at all, mode 0600, and never over another. A key file that others
  can read is refused: it may already be somebody else's.
- A key's id is the first 16 hexadecimal digits of the SHA-256 of its raw public key. An id only chooses among
  keys that are already trusted; it proves nothing by itself.
- Three keys, three purposes: Ed25519 signs, X25519 (with ML-KEM-768 where a team wants it) opens what was sealed,
  P-256 speaks TLS. None does two.

What is not here: files (key_file.py), sealing and opening (sealing.py), the box's storage keys (agent/vault.py),
enrolment.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey
from cryptography.x509.oid import NameOID
from msgspec import Meta, Struct

from exchange.errors import UNDECODABLE, IdentityError
from exchange.key_file import read_private, replace, write_new
from exchange.topics import valid_box

KEY_ID_LENGTH = 16
SIGNATURE_LENGTH = 64

# The end is \Z: after a $ a line break could follow, and one key would have two spellings.
KeyId = Annotated[str, Meta(pattern="^[0-9a-f]{16}\\Z")]
PublicHex = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
OpeningHex = Annotated[str, Meta(pattern="^([0-9a-f]{64}|[0-9a-f]{2432})\\Z")]
"""X25519, 32 bytes; or ML-KEM-768 and X25519 together, 1216 bytes (draft-ietf-hpke-pq)."""

_HYBRID_LENGTH = 1216
_X25519_LENGTH = 32
_PEM_END = b"-----END PRIVATE KEY-----\n"
_PrivateKey = Ed25519PrivateKey | X25519PrivateKey | MLKEM768PrivateKey | EllipticCurvePrivateKey
SealingKey = X25519PublicKey | MLKEM768X25519PublicKey
"""What HPKE seals to."""


def key_id(public: bytes) -> str:
    """Return the id of a raw public key: 16 lower-case hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()[:KEY_ID_LENGTH]


def verify(public: bytes, data: bytes, signature: bytes) -> bool:
    """Return whether `signature` (64 bytes) is the Ed25519 signature of `data` by `public` (32 raw bytes).

    Anything malformed is False: a caller has one way to be refused.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


class SigningKey:
    """An Ed25519 private key: a box signs its messages with it, the team its receipts."""

    __slots__ = ("_private", "id", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.id = key_id(self.public)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key.

        Raises:
            IdentityError: no such file, readable by others, or not an Ed25519 key.
        """
        private = _read_private(path)
        if not isinstance(private, Ed25519PrivateKey):
            raise _wrong_kind(path, "an Ed25519")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key, mode 0600, durably.

        Raises:
            IdentityError: the file exists or cannot be written.
        """
        write_new(path, _pem(self._private))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`: 64 bytes. The caller puts a label of its purpose in front of `data`."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


class OpeningKey:
    """A recipient's private key: opens the envelopes that were sealed to it (RFC 9180).

    X25519, or ML-KEM-768 with it: a hybrid is safe as long as one of the two is, so that what is recorded today
    does not open to a quantum computer later.

    Attributes:
        private: the key itself, for `sealing` only.
        public: raw public key: X25519's 32 bytes, in a hybrid after ML-KEM-768's 1184.
        id: see `key_id`.
        hybrid: whether it is a hybrid.
    """

    __slots__ = ("_parts", "hybrid", "id", "private", "public")

    def __init__(self, private: X25519PrivateKey, post_quantum: MLKEM768PrivateKey | None = None) -> None:
        self.hybrid = post_quantum is not None
        self.public = private.public_key().public_bytes_raw()
        self.private: X25519PrivateKey | MLKEM768X25519PrivateKey = private
        self._parts: tuple[_PrivateKey, ...] = (private,)
        if post_quantum is not None:
            self.private = MLKEM768X25519PrivateKey(post_quantum, private)
            self.public = post_quantum.public_key().public_bytes_raw() + self.public
            self._parts = (post_quantum, private)
        self.id = key_id(self.public)

    @classmethod
    def generate(cls, *, hybrid: bool = False) -> Self:
        """Return a new key."""
        return cls(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate() if hybrid else None)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key: X25519 alone, or ML-KEM-768 and then X25519.

        Raises:
            IdentityError: no such file, readable by others, or no such key.
        """
        whole = read_private(path)
        first, _, second = whole.partition(_PEM_END)
        parts = [_private_key(whole if not second.strip() else first + _PEM_END, path)]
        if second.strip():
            parts.append(_private_key(second, path))
        match parts:
            case [X25519PrivateKey() as private]:
                return cls(private)
            case [MLKEM768PrivateKey() as post_quantum, X25519PrivateKey() as private]:
                return cls(private, post_quantum)
        raise _wrong_kind(path, "an X25519 (or ML-KEM-768 and X25519)")

    def save(self, path: Path) -> None:
        """Write the key, mode 0600, durably.

        Raises:
            IdentityError: the file exists or cannot be written.
        """
        write_new(path, b"".join(_pem(part) for part in self._parts))

    def __repr__(self) -> str:
        return f"OpeningKey({self.id})"


class TlsKey:
    """A box's P-256 key for mutual TLS with the broker; kept apart from the key that signs its messages."""

    __slots__ = ("_private",)

    def __init__(self, private: EllipticCurvePrivateKey) -> None:
        self._private = private

    @property
    def public(self) -> bytes:
        """The public half, as certificates carry it (SubjectPublicKeyInfo, DER)."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._private.public_key().public_bytes(serialization.Encoding.DER, form)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        return cls(generate_private_key(SECP256R1()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key.

        Raises:
            IdentityError: no such file, readable by others, or not a P-256 key.
        """
        private = _read_private(path)
        if not isinstance(private, EllipticCurvePrivateKey) or not isinstance(private.curve, SECP256R1):
            raise _wrong_kind(path, "a P-256")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key, mode 0600, durably.

        Raises:
            IdentityError: the file exists or cannot be written.
        """
        write_new(path, _pem(self._private))

    def csr(self, box: str) -> bytes:
        """Return a certificate signing request for this key, PEM; its common name is the box id.

        Raises:
            IdentityError: `box` cannot be a box id.
        """
        if not valid_box(box):
            raise IdentityError(f"{box!r} cannot be a box id", hint="Use 3 to 48 of a-z, 0-9 and -.")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, box)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._private, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM)

    def __repr__(self) -> str:
        return "TlsKey()"


class RecipientRole(StrEnum):
    """Why somebody can open what a box seals."""

    TEAM = "team"
    ON_CALL = "on_call"
    ESCROW = "escrow"


class Recipient(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One public key that a box seals to, in hexadecimal."""

    id: KeyId
    public: OpeningHex
    role: RecipientRole

    @classmethod
    def of(cls, key: OpeningKey, role: RecipientRole) -> Self:
        """Return the public half of `key`."""
        return cls(id=key.id, public=key.public.hex(), role=role)

    @property
    def hybrid(self) -> bool:
        """Whether it is a hybrid of ML-KEM-768 and X25519."""
        return len(self.public) == 2 * _HYBRID_LENGTH


def sealing_key(recipient: Recipient) -> SealingKey:
    """Return what HPKE seals to.

    Raises:
        ValueError: nothing can be sealed to it.
    """
    raw = bytes.fromhex(recipient.public)
    classic = X25519PublicKey.from_public_bytes(raw[-_X25519_LENGTH:])
    # A point of low order is 32 bytes like any other key, and stops every seal (RFC 7748, 6.1).
    X25519PrivateKey.generate().exchange(classic)
    if not recipient.hybrid:
        return classic
    return MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(raw[:-_X25519_LENGTH]), classic)


def fault_of(recipients: Sequence[Recipient]) -> str | None:
    """Return why nothing can be sealed to these together, or None when it can."""
    for recipient in recipients:
        try:
            sealing_key(recipient)
        except ValueError:
            return f"nothing can be sealed to key {recipient.id}"
    if len({recipient.hybrid for recipient in recipients}) > 1:
        # Whoever breaks the one classic key reads everything: the others would be hybrid in vain.
        return "hybrid and classic recipients cannot be mixed"
    return None


class ReceiptSigner(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One public key that may sign receipts: Ed25519, 32 bytes in hexadecimal."""

    id: KeyId
    public: PublicHex

    @classmethod
    def of(cls, key: SigningKey) -> Self:
        """Return the public half of `key`."""
        return cls(id=key.id, public=key.public.hex())


class TeamKeys(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file `team.json`: whom a box seals to, and whose receipts it believes. Holds nothing secret.

    Attributes:
        recipients: 1 to 8 keys, ids unique.
        receipt_signers: 1 to 16 keys, ids unique; more than one while a key is being replaced.
    """

    recipients: Annotated[tuple[Recipient, ...], Meta(min_length=1, max_length=8)]
    receipt_signers: Annotated[tuple[ReceiptSigner, ...], Meta(min_length=1, max_length=16)]

    def signers(self) -> dict[str, bytes]:
        """Return id -> raw public key of those who may sign receipts."""
        return {signer.id: bytes.fromhex(signer.public) for signer in self.receipt_signers}


def read_team_keys(path: Path) -> TeamKeys:
    """Read `team.json`.

    Raises:
        IdentityError: missing or malformed, an id that is not its key's, one id twice, or a recipient to whom nothing
            can be sealed.
    """
    hint = "Fetch the team's key file again from your coordination team."
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=TeamKeys)
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    except UNDECODABLE as error:
        raise IdentityError(f"{path} is not a team key file: {error}", hint=hint) from error
    for group in (keys.recipients, keys.receipt_signers):
        for key in group:
            if key.id != key_id(bytes.fromhex(key.public)):
                raise IdentityError(f"{path}: key {key.id} does not carry its own id", hint=hint)
        twice = [name for name, count in Counter(key.id for key in group).items() if count > 1]
        if twice:
            raise IdentityError(f"{path}: key {twice[0]} is listed twice", hint=hint)
    if (fault := fault_of(keys.recipients)) is not None:
        raise IdentityError(f"{path}: {fault}", hint=hint)
    return keys


def write_team_keys(path: Path, keys: TeamKeys) -> None:
    """Write `team.json`, complete or not at all, over an older one.

    Raises:
        IdentityError: the file cannot be written.
    """
    replace(path, msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n", mode=0o644)


def _read_private(path: Path) -> PrivateKeyTypes:
    return _private_key(read_private(path), path)


def _private_key(content: bytes, path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise IdentityError(
            f"{path} is not a private key in PEM form", hint="Restore the file, or replace the key."
        ) from error


def _wrong_kind(path: Path, word: str) -> IdentityError:
    return IdentityError(f"{path} is not {word} key", hint="Check the path in the settings.")


def _pem(private: _PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

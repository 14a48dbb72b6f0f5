"""The keys of a box and of its team: how they are born, kept on disk, and named.

Rules of this room:

- A private key is born where it is used and never leaves that machine; only public keys and a CSR do.
- A key file is written once, complete or not at all, mode 0600, and never over another. A key file that others
  can read is refused: it may already be somebody else's.
- A key's id is the first 16 hexadecimal digits of the SHA-256 of its raw public key. An id only chooses among
  keys that are already trusted; it proves nothing by itself.
- Three keys, three purposes: Ed25519 signs, X25519 opens what was sealed, P-256 speaks TLS. None does two.

What is not here: sealing and opening (sealing.py), the box's storage keys (agent/vault.py), enrolment.
"""

import hashlib
import os
import stat
from collections import Counter
from enum import StrEnum
from pathlib import Path
from tempfile import mkstemp
from typing import Annotated, Self

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.x509.oid import NameOID
from msgspec import Meta, Struct

from exchange.errors import IdentityError
from exchange.topics import valid_box

KEY_ID_LENGTH = 16
SIGNATURE_LENGTH = 64

KeyId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
PublicHex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

_PrivateKey = Ed25519PrivateKey | X25519PrivateKey | EllipticCurvePrivateKey


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
        _write_private(path, self._private)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`: 64 bytes. The caller puts a label of its purpose in front of `data`."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


class OpeningKey:
    """A recipient's X25519 private key: opens the envelopes that were sealed to it (RFC 9180).

    Attributes:
        private: the key itself, for `sealing` only.
        public: 32 raw bytes.
        id: see `key_id`.
    """

    __slots__ = ("id", "private", "public")

    def __init__(self, private: X25519PrivateKey) -> None:
        self.private = private
        self.public = private.public_key().public_bytes_raw()
        self.id = key_id(self.public)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key.

        Raises:
            IdentityError: no such file, readable by others, or not an X25519 key.
        """
        private = _read_private(path)
        if not isinstance(private, X25519PrivateKey):
            raise _wrong_kind(path, "an X25519")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key, mode 0600, durably.

        Raises:
            IdentityError: the file exists or cannot be written.
        """
        _write_private(path, self.private)

    def __repr__(self) -> str:
        return f"OpeningKey({self.id})"


class TlsKey:
    """A box's P-256 key for mutual TLS with the broker; kept apart from the key that signs its messages."""

    __slots__ = ("_private",)

    def __init__(self, private: EllipticCurvePrivateKey) -> None:
        self._private = private

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
        _write_private(path, self._private)

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
    """One public key that a box seals to: X25519, 32 bytes in hexadecimal."""

    id: KeyId
    public: PublicHex
    role: RecipientRole

    @classmethod
    def of(cls, key: OpeningKey, role: RecipientRole) -> Self:
        """Return the public half of `key`."""
        return cls(id=key.id, public=key.public.hex(), role=role)


def sealable(recipient: Recipient) -> bool:
    """Return whether something can be sealed to a recipient."""
    try:
        # A point of low order is 32 bytes like any other key, and stops every seal (RFC 7748, 6.1).
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(recipient.public)))
    except ValueError:
        return False
    return True


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IdentityError(f"{path} is not a team key file: {error}", hint=hint) from error
    for group in (keys.recipients, keys.receipt_signers):
        for key in group:
            if key.id != key_id(bytes.fromhex(key.public)):
                raise IdentityError(f"{path}: key {key.id} does not carry its own id", hint=hint)
        twice = [name for name, count in Counter(key.id for key in group).items() if count > 1]
        if twice:
            raise IdentityError(f"{path}: key {twice[0]} is listed twice", hint=hint)
    for recipient in keys.recipients:
        if not sealable(recipient):
            raise IdentityError(f"{path}: nothing can be sealed to key {recipient.id}", hint=hint)
    return keys


def write_team_keys(path: Path, keys: TeamKeys) -> None:
    """Write `team.json`, complete or not at all, over an older one.

    Raises:
        IdentityError: the file cannot be written.
    """
    content = msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n"
    try:
        draft = _draft(path, content, 0o644)
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _read_private(path: Path) -> PrivateKeyTypes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise IdentityError(
            f"the key {path} cannot be read: {error.strerror}",
            hint="Check the path in the settings, and that this user owns the file.",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise IdentityError(
                f"the key {path} can be read by others (mode {mode:04o})",
                hint=f"If nobody else could have copied it, run 'chmod 600 {path}'; otherwise replace the key.",
            )
        content = file.read()
    try:
        return serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise IdentityError(
            f"{path} is not a private key in PEM form", hint="Restore the file, or replace the key."
        ) from error


def _wrong_kind(path: Path, word: str) -> IdentityError:
    return IdentityError(f"{path} is not {word} key", hint="Check the path in the settings.")


def _write_private(path: Path, private: _PrivateKey) -> None:
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        draft = _draft(path, content, 0o600)
        try:
            # A link fails when the name is taken, and appears complete: a power cut leaves no half key behind.
            os.link(draft, path)
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise IdentityError(
            f"{path} exists already, and a key is never overwritten",
            hint="Keep that key, or move the file away first.",
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error


def _draft(path: Path, content: bytes, mode: int) -> Path:
    """Write `content` durably beside `path` and return where; mkstemp creates it readable by its owner only."""
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except OSError:
        draft.unlink()
        raise
    return draft


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> IdentityError:
    return IdentityError(
        f"{path} cannot be written: {error.strerror}",
        hint=f"Check that the folder {path.parent} exists, is writable and has room.",
    )

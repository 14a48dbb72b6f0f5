"""Reading certificates: whose, from when to when, and whether the team's CA issued it for a key.

A box looks at what it is given before it puts it in the place of what works, and looks at its own to know when to
renew. The handshakes themselves are OpenSSL's (`tls`). This is beside `identity`, which has the keys, because nothing
here touches a private key. Times are ms UTC of the real clock.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from exchange.errors import IdentityError

_HINT = "Ask your coordination team for a new enrolment code, then run 'veilleur enrol'."


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says.

    Attributes:
        name: its common name; the box's id.
        serial: hexadecimal, lower case.
        not_before: ms UTC, included.
        not_after: ms UTC, included.
        public: the key that it is for, as `TlsKey.public`.
    """

    name: str
    serial: str
    not_before: int
    not_after: int
    public: bytes

    @classmethod
    def read(cls, pem: bytes) -> Self:
        """Read one from PEM.

        Raises:
            IdentityError: it is none, or has not one common name.
        """
        return cls._of(_parsed(pem))

    @classmethod
    def _of(cls, certificate: x509.Certificate) -> Self:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(names) != 1:
            raise IdentityError("the certificate does not name one box", hint=_HINT)
        return cls(
            name=str(names[0].value),
            serial=f"{certificate.serial_number:x}",
            not_before=round(certificate.not_valid_before_utc.timestamp() * 1000),
            not_after=round(certificate.not_valid_after_utc.timestamp() * 1000),
            public=certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one from a PEM file.

        Raises:
            IdentityError: it cannot be read, or is none.
        """
        try:
            return cls.read(path.read_bytes())
        except OSError as error:
            raise IdentityError(f"the certificate {path} cannot be read: {error.strerror}", hint=_HINT) from error

    @property
    def renew_at(self) -> int:
        """When a third of its life is over, ms UTC."""
        return self.not_before + (self.not_after - self.not_before) // 3


def issued(path: Path, *, ca: Path) -> Certificate:
    """Return the certificate in a PEM file that the authority in another one issued.

    Raises:
        IdentityError: a file cannot be read, or the certificate is another authority's.
    """
    found = Certificate.load(path)
    try:
        _parsed(path.read_bytes()).verify_directly_issued_by(_parsed(ca.read_bytes()))
    except OSError as error:
        raise IdentityError(f"{error.filename} cannot be read: {error.strerror}", hint=_HINT) from error
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise IdentityError("the certificate is not one of the team's CA", hint=_HINT) from error
    return found


def accepted(pem: bytes, *, ca: bytes, csr: bytes, box: str) -> Certificate:
    """Return a certificate (PEM) that `ca` (PEM) issued to `box` for the key of `csr` (PEM).

    Raises:
        IdentityError: it is none, another authority's, another box's or for another key.
    """
    certificate, authority, request = _parsed(pem), _parsed(ca), x509.load_pem_x509_csr(csr)
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise IdentityError("the certificate is not one of the team's CA", hint=_HINT) from error
    found = Certificate._of(certificate)  # noqa: SLF001 - of this file
    if found.name != box:
        raise IdentityError(f"the certificate is for {found.name}, not for {box}", hint=_HINT)
    if certificate.public_key() != request.public_key():
        raise IdentityError("the certificate is not for this box's key", hint=_HINT)
    return found


def _parsed(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise IdentityError("that is no certificate in PEM form", hint=_HINT) from error

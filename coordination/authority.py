"""The team's private certificate authority: who may speak to the broker, and who no longer may.

Rules of this room:

- One P-256 key that signs nothing but the certificates and the revocation list of one team. It lies in a folder that
  only its owner enters, and is created once, never over another.
- A subject's private key is never here: a request comes in, signed by the key that it names, and a certificate goes
  out. Name and purpose are decided here, whatever the request asks for.
- Names of boxes and names of the team's own programs cannot be mistaken for each other: the broker's rules give a
  worker every box's topics, so a box is never given a worker's name.
- The revocation list only grows, its number and its date rise with every edition: a broker that already holds one
  takes the newer. It is valid for as long as the authority, since a broker refuses everybody once its list has
  expired, and a list that nobody renewed must not cut off a fleet.

Times are ms UTC of the real clock, given by the caller. Not here: which boxes exist (`box_identity`), and how a broker
learns of a revocation (`broker_control`).
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordination.authority_errors import damaged, no_box, no_program, open_to_others, refused, taken, unusable
from exchange.durable_file import write_durably
from exchange.topics import valid_box

BOX_LIFETIME = timedelta(days=90)
"""A box renews at a third of it: two further months of failing renewals cut nobody off."""
PROGRAM_LIFETIME = timedelta(days=365)
"""Of the broker, the inbox workers and the enrolment office, which people renew."""
AUTHORITY_LIFETIME = timedelta(days=3650)
BACKDATED = timedelta(hours=1)
"""A certificate is valid from a little before it was issued: its reader's clock may be behind."""
PROGRAMS = ("inbox-", "desk-")
"""How the names of the team's own programs begin; no box has such a name."""

MAX_REQUEST_BYTES = 4096
_NAME = "Veilleur"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate; times in ms UTC.

    Attributes:
        serial: hexadecimal, lower case.
        name: its common name.
        tls_key: SHA-256 of the public key that it is for, hexadecimal.
        not_before: valid from then on, included.
        not_after: valid until then, included.
        pem: the certificate itself.
    """

    serial: str
    name: str
    tls_key: str
    not_before: int
    not_after: int
    pem: bytes


class Authority:
    """A private CA in a folder.

    Attributes:
        ca: PEM file of its certificate, the only one that boxes and broker believe.
        crl: PEM file of its revocation list.
    """

    def __init__(self, folder: Path, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._folder = folder
        self._key = key
        self._certificate = certificate
        self.ca = folder / "ca.pem"
        self.crl = folder / "crl.pem"

    @classmethod
    def create(cls, folder: Path, *, at: int, name: str = _NAME) -> Self:
        """Make a new authority in `folder`, which is made when missing; `name` is read by people only.

        Raises:
            AuthorityError: there is one already, or the folder cannot be written.
        """
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        begin, end = _span(at, AUTHORITY_LIFETIME)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Made whole beside its place, which it takes in one step, and only when nothing is there.
            draft = cls(Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)), key, certificate)
            try:
                write_durably(draft.ca, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
                write_durably(draft._folder / "ca.key", private, mode=0o600)
                draft._write_crl((), at)
                draft._folder.rename(folder)
            except OSError:
                shutil.rmtree(draft._folder)
                raise
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise taken(folder) from error
            raise unusable(folder, error) from error
        return cls(folder, key, certificate)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an authority.

        Raises:
            AuthorityError: there is none, or others can read its key.
        """
        try:
            with (folder / "ca.key").open("rb") as file:
                mode, private = os.fstat(file.fileno()).st_mode, file.read()
            certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            key = serialization.load_pem_private_key(private, password=None)
        except OSError as error:
            raise unusable(folder, error) from error
        except (ValueError, TypeError) as error:
            raise damaged(folder) from error
        if mode & 0o077:
            raise open_to_others(folder / "ca.key")
        if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise damaged(folder)
        return cls(folder, key, certificate)

    # --- issuing ------------------------------------------------------------------------------------------

    def box(self, csr: bytes, box: str, *, at: int, lifetime: timedelta = BOX_LIFETIME) -> Issued:
        """Return a certificate for a box, from its signing request (PEM).

        Raises:
            AuthorityError: the request is malformed or not signed by its own P-256 key, or the name cannot be a box's.
        """
        if not valid_box(box) or box.startswith(PROGRAMS):
            raise no_box(box, PROGRAMS)
        return self._issue(csr, name=box, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, at=at, lifetime=lifetime)

    def program(self, csr: bytes, name: str, *, at: int, lifetime: timedelta = PROGRAM_LIFETIME) -> Issued:
        """Return a client certificate for one of the team's own programs, such as "inbox-1".

        Raises:
            AuthorityError: as for `box`; the name must begin as in `PROGRAMS`.
        """
        if not valid_box(name) or not name.startswith(PROGRAMS):
            raise no_program(name, PROGRAMS)
        return self._issue(csr, name=name, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, at=at, lifetime=lifetime)

    def server(
        self, csr: bytes, *, name: str, hosts: Sequence[str], at: int, lifetime: timedelta = PROGRAM_LIFETIME
    ) -> Issued:
        """Return a server's certificate for these host names and addresses.

        Raises:
            AuthorityError: as for `box`, or no host.
        """
        if not hosts:
            raise refused("no host name", "aucun nom de machine")
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue(csr, name=name, purpose=purpose, at=at, lifetime=lifetime, names=names)

    def _issue(
        self,
        csr: bytes,
        *,
        name: str,
        purpose: x509.ObjectIdentifier,
        at: int,
        lifetime: timedelta,
        names: x509.SubjectAlternativeName | None = None,
    ) -> Issued:
        public = _requested(csr)
        begin, end = _span(at, lifetime)
        draft = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(min(end, self._certificate.not_valid_after_utc))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names is not None:
            draft = draft.add_extension(names, critical=False)
        certificate = draft.sign(self._key, hashes.SHA256())
        return Issued(
            serial=f"{certificate.serial_number:x}",
            name=name,
            tls_key=_key_hash(public),
            not_before=_ms(certificate.not_valid_before_utc),
            not_after=_ms(certificate.not_valid_after_utc),
            pem=certificate.public_bytes(serialization.Encoding.PEM),
        )

    # --- revoking -----------------------------------------------------------------------------------------

    def revoke(self, serials: Iterable[str], *, at: int) -> None:
        """Add certificates, by serial, to the revocation list; those in it already stay as they are.

        Raises:
            AuthorityError: the list cannot be read or written.
        """
        try:
            self._write_crl(serials, at)
        except OSError as error:
            raise unusable(self._folder, error) from error

    def revoked(self) -> frozenset[str]:
        """Return the serials in the revocation list.

        Raises:
            AuthorityError: it cannot be read, or this authority did not sign it.
        """
        held = self._held_crl()
        return frozenset() if held is None else frozenset(f"{entry.serial_number:x}" for entry in held)

    def _held_crl(self) -> x509.CertificateRevocationList | None:
        try:
            held = x509.load_pem_x509_crl(self.crl.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(self._folder, error) from error
        except ValueError as error:
            raise damaged(self.crl) from error
        public = self._key.public_key()
        if not held.is_signature_valid(public):
            raise damaged(self.crl)
        return held

    def _write_crl(self, serials: Iterable[str], at: int) -> None:
        with self._locked():
            held = self._held_crl()
            # Backdated like a certificate: a broker that finds its list dated in the future refuses everybody.
            now, dated = _moment(at), _moment(at) - BACKDATED
            number = 1
            entries: list[x509.RevokedCertificate] = []
            if held is not None:
                entries = list(held)
                number = held.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
                # Of two lists OpenSSL takes the one of the later date, in whole seconds.
                dated = max(dated, held.last_update_utc + timedelta(seconds=1))
            known = {entry.serial_number for entry in entries}
            added = sorted({int(serial, 16) for serial in serials} - known)
            draft = (
                x509.CertificateRevocationListBuilder()
                .issuer_name(self._certificate.subject)
                .last_update(dated)
                .next_update(self._certificate.not_valid_after_utc)
                .add_extension(x509.CRLNumber(number), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
                )
            )
            for entry in entries:
                draft = draft.add_revoked_certificate(entry)
            for serial in added:
                draft = draft.add_revoked_certificate(
                    x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
                )
            signed = draft.sign(self._key, hashes.SHA256())
            write_durably(self.crl, signed.public_bytes(serialization.Encoding.PEM), mode=0o644)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time write the list: two must not each leave out what the other revoked."""
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def tls_key_of(csr: bytes) -> str:
    """Return the SHA-256 of the public key of a signing request (PEM), hexadecimal.

    Raises:
        AuthorityError: it is none that an authority would sign.
    """
    return _key_hash(_requested(csr))


def _key_hash(public: EllipticCurvePublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _requested(csr: bytes) -> EllipticCurvePublicKey:
    """Return the public key of a request that is what it must be."""
    if len(csr) > MAX_REQUEST_BYTES:
        raise refused("it is too long", "elle est trop longue")
    try:
        request = x509.load_pem_x509_csr(csr)
        public = request.public_key()
        own = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise refused("it is malformed", "elle est mal formée") from error
    if not own or not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
        raise refused("it was not signed by its own P-256 key", "elle n'est pas signée par sa propre clé P-256")
    return public


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise refused(f"'{host}' is no host name", f"« {host} » n'est pas un nom de machine") from error


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _span(at: int, lifetime: timedelta) -> tuple[datetime, datetime]:
    now = _moment(at)
    return now - BACKDATED, now + lifetime


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at // 1000, UTC)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

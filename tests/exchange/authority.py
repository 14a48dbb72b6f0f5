"""A certificate authority that issues what a real one must not: expired, not yet valid, for another name."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.broker import HOST, ClientFiles

DAY = timedelta(days=1)


class Authority:
    """A CA in a folder; times are given in days from now."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test CA {folder.name}")])
        self.ca = folder / "ca.pem"
        draft = self._draft(self._name, self._key, -30, 30).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca.write_bytes(draft.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

        # Nobody is revoked: a broker that is told to look at a list refuses everybody when it has none of this CA.
        nobody = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(datetime.now(UTC) - DAY)
            .next_update(datetime.now(UTC) + 30 * DAY)
        )
        self.revoked = folder / "crl.pem"
        self.revoked.write_bytes(nobody.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, name: str, *, host: str = HOST, begins: int = -1, ends: int = 1) -> ClientFiles:
        """Issue a broker's certificate for an address."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, begins, ends, names)

    def client(self, name: str, *, begins: int = -1, ends: int = 1) -> ClientFiles:
        """Issue a client's certificate."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, begins, ends, None)

    def _issue(
        self, name: str, use: x509.ObjectIdentifier, begins: int, ends: int, names: x509.SubjectAlternativeName | None
    ) -> ClientFiles:
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        draft = self._draft(subject, key, begins, ends).add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names is not None:
            draft = draft.add_extension(names, critical=False)
        files = ClientFiles(ca=self.ca, certificate=self.folder / f"{name}.pem", key=self.folder / f"{name}.key")
        files.certificate.write_bytes(draft.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        files.key.chmod(0o600)
        return files

    def _draft(
        self, subject: x509.Name, key: EllipticCurvePrivateKey, begins: int, ends: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins * DAY)
            .not_valid_after(now + ends * DAY)
        )

"""The team's CA: what it signs, what it does not, and a revocation list that no broker chokes on."""

import multiprocessing
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.authority import MAX_REQUEST_BYTES, Authority, tls_key_of
from coordination.authority_errors import AuthorityError
from exchange.certificates import Certificate, accepted
from exchange.errors import IdentityError
from exchange.identity import TlsKey

AT = 1_800_000_000_000
REQUEST = TlsKey.generate().csr("box-0001")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", at=AT)


def crl_of(authority: Authority) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(authority.crl.read_bytes())


def test_an_authority_is_private_made_once_and_opened_again(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(AuthorityError, match="never replaced"):
        Authority.create(folder, at=AT)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder], "nothing half made is left"
    issued = Authority.open(folder).box(TlsKey.generate().csr("box-0001"), "box-0001", at=AT)
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    x509.load_pem_x509_certificate(issued.pem).verify_directly_issued_by(ca)


def test_an_authority_that_others_can_read_or_that_is_damaged_is_refused(authority: Authority, tmp_path: Path) -> None:
    folder = authority.ca.parent
    (folder / "ca.key").chmod(0o640)
    with pytest.raises(AuthorityError, match="can be read by others"):
        Authority.open(folder)
    (folder / "ca.key").chmod(0o600)
    with pytest.raises(AuthorityError, match="createca"):
        Authority.open(tmp_path / "nowhere")
    other = Authority.create(tmp_path / "other", at=AT)
    (folder / "ca.pem").write_bytes(other.ca.read_bytes())
    with pytest.raises(AuthorityError, match="damaged or another"):
        Authority.open(folder)
    (folder / "ca.pem").write_bytes(b"nothing")
    with pytest.raises(AuthorityError, match="damaged or another"):
        Authority.open(folder)


def test_a_box_s_certificate_lasts_90_days_names_it_and_is_good_for_nothing_else(authority: Authority) -> None:
    key = TlsKey.generate()
    issued = authority.box(key.csr("anything"), "box-0042", at=AT)
    certificate = x509.load_pem_x509_certificate(issued.pem)
    assert certificate.subject.rfc4514_string() == "CN=box-0042", "the name is the team's to give"
    assert issued.not_after - AT == 90 * 86_400_000
    assert AT - issued.not_before == 3_600_000
    assert issued.tls_key == tls_key_of(key.csr("other"))
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert not basic.value.ca
    found = accepted(issued.pem, ca=authority.ca.read_bytes(), csr=key.csr("x-1"), box="box-0042")
    assert found == Certificate.read(issued.pem)
    assert found.serial == issued.serial
    assert abs(found.renew_at - AT - 30 * 86_400_000) < 3_600_000


def test_no_certificate_outlives_its_authority(authority: Authority) -> None:
    issued = authority.box(TlsKey.generate().csr("x-1"), "box-0001", at=AT + 3640 * 86_400_000)
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    assert issued.not_after <= ca.not_valid_after_utc.timestamp() * 1000


def _request(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box-0001")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "csr",
    [
        b"",
        b"nothing",
        b"A" * (MAX_REQUEST_BYTES + 1),
        _request(ec.generate_private_key(ec.SECP384R1())),
        _request(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "noise", "long", "another curve", "RSA"],
)
def test_a_request_that_is_not_of_a_p256_key_is_refused(authority: Authority, csr: bytes) -> None:
    with pytest.raises(AuthorityError, match="refused"):
        authority.box(csr, "box-0001", at=AT)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_request_is_signed_for_another_key(data: st.DataObject) -> None:
    """Whatever bit of a request is turned, it is refused, or is still the same key's."""
    csr = REQUEST
    der = bytearray(ssl.PEM_cert_to_DER_cert(csr.decode().replace("CERTIFICATE REQUEST", "CERTIFICATE")))
    der[data.draw(st.integers(0, len(der) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    pem = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST").encode()
    try:
        assert tls_key_of(pem) == tls_key_of(csr)
    except AuthorityError:
        return


def test_a_certificate_is_not_accepted_for_another_box_key_or_ca(authority: Authority, tmp_path: Path) -> None:
    key, other = TlsKey.generate(), Authority.create(tmp_path / "other", at=AT)
    csr, ca = key.csr("x-1"), authority.ca.read_bytes()
    good = authority.box(csr, "box-0001", at=AT).pem
    for pem, words in (
        (authority.box(csr, "box-0002", at=AT).pem, "for box-0002"),
        (authority.box(TlsKey.generate().csr("x-1"), "box-0001", at=AT).pem, "this box's key"),
        (other.box(csr, "box-0001", at=AT).pem, "team's CA"),
        (good[:-40], "no certificate"),
    ):
        with pytest.raises(IdentityError, match=words):
            accepted(pem, ca=ca, csr=csr, box="box-0001")
    assert accepted(good, ca=ca, csr=csr, box="box-0001").name == "box-0001"


# --- the revocation list ----------------------------------------------------------------------------


def test_the_list_is_there_from_the_start_and_lasts_as_long_as_the_authority(authority: Authority) -> None:
    """A broker does not start without it, and refuses everybody once it has expired."""
    crl, ca = crl_of(authority), x509.load_pem_x509_certificate(authority.ca.read_bytes())
    assert len(list(crl)) == 0
    assert crl.next_update_utc == ca.not_valid_after_utc
    assert crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(1, 2**64), max_size=4), st.integers(-5_000, 5_000)), max_size=8))
def test_the_list_only_grows_its_number_and_date_rise_and_its_date_is_never_to_come(
    tmp_path_factory: pytest.TempPathFactory, editions: list[tuple[set[int], int]]
) -> None:
    """Whatever the clock does within a few seconds: a list of tomorrow would make the broker refuse everybody."""
    authority = Authority.create(tmp_path_factory.mktemp("x") / "authority", at=AT)
    held: set[str] = set()
    before = crl_of(authority)
    for serials, drift in editions:
        authority.revoke((f"{serial:x}" for serial in serials), at=AT + drift)
        held |= {f"{serial:x}" for serial in serials}
        after = crl_of(authority)
        number = after.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        assert authority.revoked() == held
        assert number == before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
        assert after.last_update_utc > before.last_update_utc
        assert after.last_update_utc <= datetime.fromtimestamp(AT / 1000, UTC) - timedelta(minutes=50)
        before = after


def _revoke(folder: Path, first: int) -> None:
    authority = Authority.open(folder)
    for serial in range(first, first + 10):
        authority.revoke([f"{serial:x}"], at=AT)


def test_two_processes_that_revoke_at_once_lose_nothing(authority: Authority) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_revoke, args=(authority.ca.parent, first)) for first in (100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert authority.revoked() == {f"{serial:x}" for first in (100, 200) for serial in range(first, first + 10)}


def test_a_list_that_another_authority_signed_is_not_added_to(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", at=AT)
    authority.crl.write_bytes(other.crl.read_bytes())
    with pytest.raises(AuthorityError, match="damaged or another"):
        authority.revoke(["1"], at=AT)
    assert authority.crl.read_bytes() == other.crl.read_bytes()

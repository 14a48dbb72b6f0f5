"""What the client demands of TLS before it speaks; the refusals themselves are tried in test_link.py."""

import ssl
from pathlib import Path

import pytest

from exchange.errors import LinkError
from exchange.tls import client_context
from simulators.broker import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_is_modern_checks_names_and_believes_one_ca_only(certificates: Certificates) -> None:
    files = certificates.client("box-0001")
    context = client_context(ca=files.ca, certificate=files.certificate, key=files.key)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_a_key_that_is_not_the_certificate_s_is_refused(certificates: Certificates) -> None:
    ours, other = certificates.client("box-0001"), certificates.client("box-0002")
    with pytest.raises(LinkError, match="TLS files"):
        client_context(ca=ours.ca, certificate=ours.certificate, key=other.key)


def test_a_missing_file_is_told(certificates: Certificates, tmp_path: Path) -> None:
    ours = certificates.client("box-0001")
    for missing in ("ca", "certificate", "key"):
        paths = {"ca": ours.ca, "certificate": ours.certificate, "key": ours.key, missing: tmp_path / "none.pem"}
        with pytest.raises(LinkError, match="No such file"):
            client_context(**paths)

import hashlib

import pytest

from devices.relay_address import RelayAddress, RelayAddressError, RelayForm, address_of, at_home


@pytest.mark.parametrize(
    ("url", "form", "port", "host"),
    [
        ("http://192.168.1.20:17580/sgv.json", RelayForm.XDRIP, 17580, "192.168.1.20"),
        ("http://phone.local:17580/sgv.json", RelayForm.XDRIP, 17580, "phone.local"),
        ("http://[fe80::1]:17580/sgv.json", RelayForm.XDRIP, 17580, "fe80::1"),
        ("http://localhost/api/v1/entries.json", RelayForm.NIGHTSCOUT, 80, "localhost"),
        ("https://example.org/api/v1/entries.json", RelayForm.NIGHTSCOUT, 443, "example.org"),
        ("https://example.org/home/api/v1/entries/sgv.json", RelayForm.NIGHTSCOUT, 443, "example.org"),
        ("https://8.8.8.8/api/v1/entries.json", RelayForm.NIGHTSCOUT, 443, "8.8.8.8"),
    ],
)
def test_a_documented_address_is_understood(url: str, form: RelayForm, port: int, host: str) -> None:
    address = RelayAddress(url)
    assert (address.form, address.port, address.host) == (form, port, host)
    assert address.encrypted is url.startswith("https")


@pytest.mark.parametrize("host", ["8.8.8.8", "[2001:4860:4860::8888]", "192.0.2.1", "0.0.0.0", "100.64.0.1"])
def test_in_the_clear_to_a_public_address_is_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(RelayAddressError, match="https address") as refused:
        RelayAddress(f"http://{host}/sgv.json")
    assert "https" in refused.value.words.fr


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sgv.json",
        "ftp://192.168.1.20/sgv.json",
        "http:///sgv.json",
        "http://192.168.1.20:0/sgv.json",
        "http://192.168.1.20:99999/sgv.json",
        "http://192.168.1.20:x/sgv.json",
        "http://me:secret@192.168.1.20/sgv.json",
        "http://@192.168.1.20/sgv.json",
        "http://192.168.1.20/sgv.json?token=abc",
        "http://192.168.1.20/sgv.json#top",
        "http://192.168.1.20/a b/sgv.json",
        "http://192.168.1.20/é/sgv.json",
        "http://a..b/sgv.json",
        "http://-a/sgv.json",
        "http://[::1/sgv.json",
        "http://192.168.1.20/\r\nX: y/sgv.json",
        "http://192.168.1.20/pebble",
        "http://192.168.1.20/",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(RelayAddressError) as refused:
        RelayAddress(url)
    assert refused.value.words.en != refused.value.words.fr


def test_a_secret_travels_as_its_sha1_and_is_never_shown() -> None:
    # "Abc" and its hash as in xDrip+'s documentation of its secret; the hash is checked against the library too.
    address = RelayAddress("http://192.168.1.20:17580/sgv.json", token="t0ken-0123", secret="Abc")
    assert address.secret_header == "915858afa2278f25527f192038108346164b47f2"
    assert address.secret_header == hashlib.sha1(b"Abc").hexdigest()
    assert "Abc" not in repr(address)
    assert "t0ken" not in repr(address)
    assert RelayAddress("http://192.168.1.20:17580/sgv.json").secret_header is None


@pytest.mark.parametrize(
    "changes", [{"token": "a b"}, {"token": ""}, {"token": "é"}, {"secret": ""}, {"secret": "x" * 257}]
)
def test_a_token_or_secret_that_cannot_be_one_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(RelayAddressError):
        RelayAddress("http://192.168.1.20:17580/sgv.json", **changes)


def test_the_identity_is_short_and_of_the_place_only() -> None:
    one = RelayAddress("http://192.168.1.20:17580/sgv.json").identity
    assert one.startswith("relay:xdrip-")
    assert len(one) == len("relay:xdrip-") + 8
    assert RelayAddress("http://192.168.1.20:17580/sgv.json", secret="other").identity == one
    assert RelayAddress("http://192.168.1.21:17580/sgv.json").identity != one
    assert RelayAddress("https://example.org/api/v1/entries.json").identity.startswith("relay:nightscout-")


def test_home_is_this_machine_and_private_networks() -> None:
    home = ("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1")
    away = ("172.32.0.1", "11.0.0.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "224.0.0.1")
    for text in (*home, "::ffff:192.168.0.1"):
        literal = address_of(text)
        assert literal is not None
        assert at_home(literal), text
    for text in away:
        literal = address_of(text)
        assert literal is not None
        assert not at_home(literal), text

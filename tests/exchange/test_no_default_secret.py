"""Nothing that ships is a secret, nor trusts a key whose secret half is known: every install makes its own."""

import re
from pathlib import Path

import pytest

from exchange.identity import OpeningKey, SigningKey, TlsKey

ROOT = Path(__file__).parents[2]
SHIPPED = ("devices", "alerting", "exchange", "agent", "coordination", "simulators", "configs", "deploy")

PUBLISHED = {
    # RFC 8032, 7.1: public keys printed there beside their private halves.
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    # RFC 7748, 6.1.
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
}
SECRETS = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*\n[A-Za-z0-9+/=]{16}"),
    "a password": re.compile(rb"""(?i)\b(?:password|passwd|secret|token|pin)\s*=\s*["'][^"'{}<>\s]{4,}["']"""),
}


def shipped() -> list[Path]:
    return [
        path
        for name in SHIPPED
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.suffix not in {".so", ".gz", ".c"} and "__pycache__" not in path.parts
    ]


def test_no_file_that_ships_holds_a_secret() -> None:
    files = shipped()
    assert len(files) > 100
    found = [(str(path), kind) for path in files for kind, form in SECRETS.items() if form.search(path.read_bytes())]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a private key", b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n"),
        ("a private key", b"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk\n"),
        ("a password", b'password = "changeme"'),
    ],
)
def test_a_secret_would_be_found(kind: str, text: bytes) -> None:
    assert SECRETS[kind].search(text)


def test_no_shipped_setting_trusts_a_key_whose_private_half_is_published() -> None:
    keys = {
        key
        for path in (ROOT / "configs").rglob("*.toml")
        for key in re.findall(r"\b[0-9a-f]{64}\b", path.read_text(encoding="utf-8"))
    }
    assert keys
    assert not keys & PUBLISHED


@pytest.mark.parametrize("kind", [SigningKey, OpeningKey, TlsKey])
def test_two_keys_made_alike_are_not_the_same(
    kind: type[SigningKey] | type[OpeningKey] | type[TlsKey], tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.key" for number in range(20)]
    for path in files:
        kind.generate().save(path)
    assert len({path.read_bytes() for path in files}) == 20

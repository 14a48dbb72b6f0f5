"""Keys on disk: whole or absent, for their owner only, never over another, and named by what they are."""

import hashlib
import os
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from exchange.errors import IdentityError
from exchange.identity import (
    OpeningKey,
    ReceiptSigner,
    Recipient,
    RecipientRole,
    SigningKey,
    TeamKeys,
    TlsKey,
    key_id,
    read_team_keys,
    verify,
    write_team_keys,
)

Kind = type[SigningKey] | type[OpeningKey] | type[TlsKey]
KINDS: list[Kind] = [SigningKey, OpeningKey, TlsKey]


def refused(action: object, *arguments: object) -> IdentityError:
    assert callable(action)
    with pytest.raises(IdentityError) as caught:
        action(*arguments)
    assert caught.value.hint.endswith("."), "an operator needs a next step"
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_key_is_for_its_owner_only_and_alone_in_its_folder(kind: Kind, tmp_path: Path) -> None:
    kind.generate().save(tmp_path / "a.key")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_loaded_signing_key_signs_as_before(tmp_path: Path) -> None:
    key = SigningKey.generate()
    key.save(tmp_path / "a.key")
    loaded = SigningKey.load(tmp_path / "a.key")
    assert (loaded.id, loaded.public) == (key.id, key.public)
    assert verify(key.public, b"data", loaded.sign(b"data"))


def test_a_loaded_opening_key_is_the_same(tmp_path: Path) -> None:
    key = OpeningKey.generate()
    key.save(tmp_path / "a.key")
    loaded = OpeningKey.load(tmp_path / "a.key")
    assert (loaded.id, loaded.public) == (key.id, key.public)
    sender = X25519PrivateKey.generate()
    assert isinstance(loaded.private, X25519PrivateKey)
    assert loaded.private.exchange(sender.public_key()) == sender.exchange(
        X25519PublicKey.from_public_bytes(key.public)
    )


def test_a_key_s_id_is_the_beginning_of_its_public_key_s_hash() -> None:
    key = SigningKey.generate()
    assert key.id == key_id(key.public) == hashlib.sha256(key.public).hexdigest()[:16]


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_never_overwritten(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    kind.generate().save(path)
    before = path.read_bytes()
    refused(kind.generate().save, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_key_that_others_can_reach_is_refused(kind: Kind, mode: int, tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    kind.generate().save(path)
    path.chmod(mode)
    assert f"chmod 600 {path}" in refused(kind.load, path).hint


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_another_kind_is_refused(kind: Kind, tmp_path: Path) -> None:
    for other in KINDS:
        path = tmp_path / f"{other.__name__}.key"
        other.generate().save(path)
        if other is not kind:
            refused(kind.load, path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_refused(kind: Kind, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    refused(kind.load, path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_key_or_folder_is_told_with_a_hint(kind: Kind, tmp_path: Path) -> None:
    refused(kind.load, tmp_path / "none.key")
    refused(kind.generate().save, tmp_path / "nowhere" / "a.key")


def test_a_disk_that_fails_leaves_no_key_and_no_piece_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    refused(SigningKey.generate().save, tmp_path / "a.key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_shown_in_a_log_gives_nothing_away(kind: Kind, tmp_path: Path) -> None:
    key = kind.generate()
    key.save(tmp_path / "a.key")
    body = "".join((tmp_path / "a.key").read_text().splitlines()[1:-1])
    assert len(repr(key)) < 40
    assert body[-24:] not in repr(key)


def test_a_signature_holds_for_its_data_and_key_only() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    signature = key.sign(b"data")
    assert verify(key.public, b"data", signature)
    assert not verify(key.public, b"datb", signature)
    assert not verify(other.public, b"data", signature)
    assert not verify(key.public, b"data", signature[:-1])
    assert not verify(key.public, b"data", b"")
    assert not verify(key.public[:-1], b"data", signature)
    assert not verify(b"", b"data", signature)


def test_a_signing_request_carries_the_box_id_and_the_key_s_own_signature(tmp_path: Path) -> None:
    key = TlsKey.generate()
    key.save(tmp_path / "tls.key")
    request = x509.load_pem_x509_csr(TlsKey.load(tmp_path / "tls.key").csr("box-0001"))
    public = request.public_key()
    assert request.subject.rfc4514_string() == "CN=box-0001"
    assert request.is_signature_valid
    assert isinstance(public, EllipticCurvePublicKey)
    assert isinstance(public.curve, SECP256R1)


def test_a_signing_request_for_what_is_no_box_id_is_refused() -> None:
    refused(TlsKey.generate().csr, "box/+")


def test_a_tls_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    TlsKey(generate_ec_key(SECP384R1())).save(tmp_path / "tls.key")
    refused(TlsKey.load, tmp_path / "tls.key")


def team_keys() -> TeamKeys:
    return TeamKeys(
        recipients=(
            Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),
            Recipient.of(OpeningKey.generate(), RecipientRole.ON_CALL),
            Recipient.of(OpeningKey.generate(), RecipientRole.ESCROW),
        ),
        receipt_signers=(ReceiptSigner.of(SigningKey.generate()),),
    )


def test_the_team_s_keys_come_back_as_written_over_an_older_file(tmp_path: Path) -> None:
    path, keys = tmp_path / "team.json", team_keys()
    write_team_keys(path, team_keys())
    write_team_keys(path, keys)
    assert read_team_keys(path) == keys
    assert keys.signers() == {keys.receipt_signers[0].id: bytes.fromhex(keys.receipt_signers[0].public)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["team.json"]


def with_a_key_twice(keys: TeamKeys) -> TeamKeys:
    return msgspec.structs.replace(keys, recipients=(keys.recipients[0], keys.recipients[0]))


def with_another_s_id(keys: TeamKeys) -> TeamKeys:
    stolen = msgspec.structs.replace(keys.recipients[0], id=keys.recipients[1].id)
    return msgspec.structs.replace(keys, recipients=(stolen,))


def with_nobody(keys: TeamKeys) -> TeamKeys:
    return msgspec.structs.replace(keys, recipients=())


def with_a_key_that_seals_nothing(keys: TeamKeys) -> TeamKeys:
    nothing = bytes(32)
    recipient = Recipient(id=key_id(nothing), public=nothing.hex(), role=RecipientRole.ESCROW)
    return msgspec.structs.replace(keys, recipients=(*keys.recipients, recipient))


@pytest.mark.parametrize("fault", [with_a_key_twice, with_another_s_id, with_nobody, with_a_key_that_seals_nothing])
def test_a_team_file_that_contradicts_itself_is_refused(fault: object, tmp_path: Path) -> None:
    assert callable(fault)
    write_team_keys(tmp_path / "team.json", fault(team_keys()))
    refused(read_team_keys, tmp_path / "team.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"team"', b'"nurse"'),
        (b'"role"', b'"roles"'),
        (b'"recipients"', b'"recipient"'),
        (b"{", b"["),
        (b'"team"', b'"\xff"'),
    ],
)
def test_a_malformed_team_file_is_refused(old: bytes, new: bytes, tmp_path: Path) -> None:
    path = tmp_path / "team.json"
    write_team_keys(path, team_keys())
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    refused(read_team_keys, path)


def test_a_missing_team_file_and_an_unwritable_place_are_told(tmp_path: Path) -> None:
    refused(read_team_keys, tmp_path / "team.json")
    refused(write_team_keys, tmp_path / "nowhere" / "team.json", team_keys())

"""HPKE as published: RFC 9180's vectors for X25519, draft-ietf-hpke-pq's for ML-KEM-768 with X25519.

The published ciphertexts carry an AAD, which the library takes only inside; `_with_aad` says how it is reached. What
is encrypted here with a vector's own key and nonce must open as this house opens it, without AAD.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from exchange import sealing
from exchange.identity import OpeningKey

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "vectors" / "hpke.json").read_bytes())
CLASSIC = VECTORS["rfc9180_x25519_sha256"]
HYBRID = VECTORS["hpke_pq_mlkem768_x25519"]

KDFS = {0x0001: KDF.HKDF_SHA256, 0x0011: KDF.SHAKE256}
AEADS = {0x0001: AEAD.AES_128_GCM, 0x0002: AEAD.AES_256_GCM, 0x0003: AEAD.CHACHA20_POLY1305}


def suite_of(vector: Mapping[str, Any], kem: KEM) -> Suite:
    return Suite(kem, KDFS[vector["kdf_id"]], AEADS[vector["aead_id"]])


def key_of(vector: Mapping[str, Any]) -> OpeningKey:
    secret = bytes.fromhex(vector["skRm"])
    if vector["kem_id"] == 0x0020:
        return OpeningKey(X25519PrivateKey.from_private_bytes(secret))
    # draft-irtf-cfrg-concrete-hybrid-kems: both private keys grow out of one seed of 32 bytes, by SHAKE256.
    grown = hashlib.shake_256(secret).digest(96)
    return OpeningKey(X25519PrivateKey.from_private_bytes(grown[64:]), MLKEM768PrivateKey.from_seed_bytes(grown[:64]))


def _with_aad(suite: Suite, ciphertext: bytes, key: OpeningKey, info: bytes, aad: bytes) -> bytes:
    return openssl.hpke._decrypt_with_aad(suite, ciphertext, key.private, info, aad)


@pytest.mark.parametrize(
    ("vector", "kem"),
    [*((vector, KEM.X25519) for vector in CLASSIC), *((vector, KEM.MLKEM768_X25519) for vector in HYBRID)],
    ids=lambda value: (
        f"{value['kem_id']:04x}-{value['kdf_id']:04x}-{value['aead_id']:04x}" if isinstance(value, dict) else ""
    ),
)
def test_published_ciphertexts_open(vector: dict[str, Any], kem: KEM) -> None:
    key, info, first = key_of(vector), bytes.fromhex(vector["info"]), vector["encryptions"][0]
    assert key.public.hex() == vector["pkRm"]
    ciphertext = bytes.fromhex(vector["enc"] + first["ct"])
    aad, plain = bytes.fromhex(first["aad"]), bytes.fromhex(first["pt"])
    assert _with_aad(suite_of(vector, kem), ciphertext, key, info, aad) == plain
    with pytest.raises(InvalidTag):
        _with_aad(suite_of(vector, kem), ciphertext, key, info + b"\x00", aad)


def test_the_house_s_own_suite_is_among_the_published() -> None:
    (vector,) = (vector for vector in CLASSIC if vector["aead_id"] == 0x0002)
    key, info, plain = key_of(vector), bytes.fromhex(vector["info"]), b"a content key of thirty-two bytes"
    ours = AESGCM(bytes.fromhex(vector["key"])).encrypt(bytes.fromhex(vector["base_nonce"]), plain, b"")
    assert sealing._SUITE.decrypt(bytes.fromhex(vector["enc"]) + ours, key.private, info=info) == plain


def test_the_house_s_hybrid_differs_from_the_published_in_its_cipher_only() -> None:
    """HKDF-SHA256 is published with ChaCha20-Poly1305; the vector's KEM and KDF are the house's."""
    (vector,) = (vector for vector in HYBRID if vector["kdf_id"] == 0x0001)
    assert vector["aead_id"] == 0x0003
    key = key_of(vector)
    sealed = sealing._HYBRID_SUITE.encrypt(b"content key", key_of(vector).private.public_key(), info=b"info")
    assert len(sealed) == len(bytes.fromhex(vector["enc"])) + len(b"content key") + 16
    assert sealing._HYBRID_SUITE.decrypt(sealed, key.private, info=b"info") == b"content key"

"""A person's signing key opens with their PIN alone."""

import json
from pathlib import Path

import pytest

from coordination.errors import CoordinationError
from coordination.person_key import Cost, check_pin, make_person_key, open_person_key, read_person_key
from exchange.identity import verify

CHEAP = Cost(memory_kib=19_456, passes=2)
PIN = "quatre mots de passe"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "anne.key"
    make_person_key(path, name="Anne Morel", pin=PIN, cost=CHEAP)
    return path


def test_the_key_signs_with_its_pin_and_its_file_is_private(key: Path) -> None:
    public = read_person_key(key)
    signing = open_person_key(key, PIN)
    assert (public.name, public.id, public.public) == ("Anne Morel", signing.id, signing.public.hex())
    assert verify(bytes.fromhex(public.public), b"x", signing.sign(b"x"))
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("pin", ["", PIN[:-1], PIN + " ", PIN.upper()])
def test_another_pin_opens_nothing(key: Path, pin: str) -> None:
    with pytest.raises(CoordinationError) as caught:
        open_person_key(key, pin)
    assert "code secret" in caught.value.why.fr
    assert "PIN" in caught.value.why.en


@pytest.mark.parametrize("change", ["name", "public", "salt", "nonce", "wrapped"])
def test_a_changed_file_opens_nothing(key: Path, change: str) -> None:
    content = json.loads(key.read_text(encoding="utf-8"))
    value = content[change]
    content[change] = "Mallory" if change == "name" else ("0" if value[0] != "0" else "1") + value[1:]
    key.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CoordinationError):
        open_person_key(key, PIN)


def test_a_file_cannot_ask_for_any_amount_of_memory_nor_for_next_to_none(key: Path) -> None:
    content = json.loads(key.read_text(encoding="utf-8"))
    for memory in (1 << 30, 64):
        key.write_text(json.dumps(content | {"memory_kib": memory}), encoding="utf-8")
        with pytest.raises(CoordinationError):
            open_person_key(key, PIN)


@pytest.mark.parametrize("pin", ["", "123456", "123456789", "1111111111", "aaaaaaaaaa", "abcabca", "x" * 129])
def test_a_pin_that_is_soon_guessed_is_refused(tmp_path: Path, pin: str) -> None:
    with pytest.raises(CoordinationError) as caught:
        make_person_key(tmp_path / "k", name="Anne", pin=pin, cost=CHEAP)
    assert not (tmp_path / "k").exists()
    assert caught.value.hint.fr


def test_long_digits_and_short_phrases_are_taken() -> None:
    for pin in ("2718281828", "nuit-2x!", "a b c d e"):
        check_pin(pin)


def test_a_key_is_never_written_over_another(key: Path) -> None:
    before = key.read_bytes()
    with pytest.raises(CoordinationError):
        make_person_key(key, name="Anne", pin=PIN, cost=CHEAP)
    assert key.read_bytes() == before


def test_two_keys_with_one_pin_share_nothing(tmp_path: Path, key: Path) -> None:
    make_person_key(tmp_path / "other", name="Anne Morel", pin=PIN, cost=CHEAP)
    one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (key, tmp_path / "other"))
    for name in ("id", "public", "salt", "nonce", "wrapped"):
        assert one[name] != other[name]

"""The code of an enrolment: read back whatever way it was typed, and refused for any slip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.enrolment import Hello, Machine, Offer, commitment, digits, transcript
from exchange.enrolment_code import CodeError, EnrolmentCode, fingerprint, hashed

CA = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"
OTHER_CA = b"-----BEGIN CERTIFICATE-----\nd29ybGQ=\n-----END CERTIFICATE-----\n"
CODE = EnrolmentCode.make(host="Desk.Example.org", port=8884, ca=CA)


def test_a_code_is_read_back_as_it_was_made() -> None:
    assert EnrolmentCode.read(str(CODE)) == CODE
    assert CODE.host == "desk.example.org"
    assert CODE.fingerprint == fingerprint(CA)
    assert len(str(CODE)) < 110, "it fits a small QR"
    assert set(str(CODE)) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"), "in the QR's alphanumeric mode"


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "desk"])
def test_hosts_of_every_kind_are_read_back(host: str) -> None:
    code = EnrolmentCode.make(host=host, port=443, ca=CA)
    assert EnrolmentCode.read(str(code)) == code


def test_case_dashes_spaces_and_look_alikes_do_not_matter() -> None:
    text = str(CODE)
    head, part = text.rsplit("/", 1)
    dashed = "-".join(part[place : place + 4] for place in range(0, len(part), 4))
    for typed in (text.lower(), f" {head} / {dashed}\n", head + "/" + part.replace("0", "o").replace("1", "l")):
        assert EnrolmentCode.read(typed) == CODE


@given(st.data())
def test_a_slip_is_noticed_before_anything_is_sent(data: st.DataObject) -> None:
    """A wrong character in code or fingerprint passes the check once in a thousand, and is never read as the code."""
    text = str(CODE)
    place = data.draw(st.integers(text.index("/"), len(text) - 1))
    wrong = data.draw(st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZU/!"))
    typed = text[:place] + wrong + text[place + 1 :]
    if typed == text:
        return
    try:
        assert EnrolmentCode.read(typed) != CODE
    except CodeError:
        return


@given(st.text(max_size=200))
def test_no_text_makes_it_stumble(text: str) -> None:
    for typed in (text, f"VEILLEUR:{text}", f"VEILLEUR:1/{text}", f"VEILLEUR:1/h:1/{text}/{text}"):
        try:
            EnrolmentCode.read(typed)
        except CodeError:
            continue


def test_a_code_does_not_show_its_secret_in_a_log() -> None:
    assert CODE.secret not in repr(CODE)
    assert hashed(CODE.place, CODE.secret) != hashed(CODE.place, CODE.secret[::-1])


def _machine(signing: str = "aa" * 32) -> Machine:
    return Machine(csr=b"csr", signing=signing, opening="bb" * 32)


def test_the_digits_depend_on_everything_that_was_said() -> None:
    """Change any part, and two sides that do not share it show other digits (or, once in a million, the same)."""
    nonce = b"n" * 32
    hello = Hello(v=1, place="AAAA", secret="S" * 16, commitment=commitment(nonce, _machine()))
    offer = Offer(box="box-0001", nonce=b"t" * 32, given=b"g" * 32)
    said = {"ca": CA, "hello": hello, "offer": offer, "nonce": nonce, "machine": _machine()}
    changed = {
        "ca": OTHER_CA,
        "hello": Hello(v=1, place="AAAA", secret="S" * 16, commitment=commitment(nonce, _machine("cc" * 32))),
        "offer": Offer(box="box-0001", nonce=b"t" * 32, given=b"h" * 32),
        "nonce": b"m" * 32,
        "machine": _machine("cc" * 32),
    }
    whole = transcript(**said)  # type: ignore[arg-type]
    assert transcript(**said) == whole  # type: ignore[arg-type]
    others = {transcript(**(said | {part: value})) for part, value in changed.items()}  # type: ignore[arg-type]
    assert len(others | {whole}) == 6
    assert len(digits(whole)) == 6
    assert digits(whole).isdigit()


@given(st.binary(min_size=32, max_size=32))
def test_the_digits_are_always_six(conversation: bytes) -> None:
    assert len(digits(conversation)) == 6

"""The short form of `make fuzz`: every codec meets some spoilt frames in every run of the tests."""

import pytest

from tests.fuzz.case import Case
from tests.fuzz.codecs import CASES, refusable
from tests.fuzz.messages import cases, guarded
from tests.fuzz.spoil import work


@pytest.mark.parametrize("name", CASES)
def test_spoilt_frames_are_a_value_or_an_error(name: str) -> None:
    outcome = work(name, seed=1, frames=CASES[name].short)
    assert not outcome.findings
    assert outcome.frames == CASES[name].short


def test_a_codec_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "broken", Case([bytes(4)], refusable(lambda frame: frame[3])))
    (first, *_) = work("broken", seed=1, frames=1000).findings
    assert first.error.startswith("IndexError")
    assert len(bytes.fromhex(first.frame)) < 4


@pytest.mark.parametrize("name", [name for name in cases() if f"{name}.signed_again" in CASES])
def test_nothing_spoilt_is_accepted_that_was_not_signed(name: str) -> None:
    outcome = work(name, seed=2, frames=CASES[name].short)
    assert not outcome.findings
    assert 0 < outcome.refused <= outcome.frames
    # The frames that are as they were signed are taken: it is no wall.
    assert not any(CASES[name].run(seed) for seed in CASES[name].seeds)


def test_what_lies_behind_a_signature_is_reached() -> None:
    for name in ("receipt.signed_again", "status.signed_again", "envelope.signed_again", "content"):
        outcome = work(name, seed=3, frames=CASES[name].short)
        assert 0 < outcome.refused < outcome.frames, name


def test_a_codec_that_accepts_what_nobody_signed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "gullible", Case([bytes(8)], guarded([bytes(8)], lambda frame: frame, ValueError)))
    assert work("gullible", seed=1, frames=100).findings

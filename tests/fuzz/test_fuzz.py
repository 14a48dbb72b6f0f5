"""The short form of `make fuzz`: every codec meets some spoilt frames in every run of the tests."""

import pytest

from tests.fuzz.codecs import CASES, Case, refusable
from tests.fuzz.spoil import work


@pytest.mark.parametrize("name", CASES)
def test_spoilt_frames_are_a_value_or_an_error(name: str) -> None:
    outcome = work(name, seed=1, frames=1000)
    assert not outcome.findings
    assert outcome.frames == 1000


def test_a_codec_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "broken", Case([bytes(4)], refusable(lambda frame: frame[3])))
    (first, *_) = work("broken", seed=1, frames=1000).findings
    assert first.error.startswith("IndexError")
    assert len(bytes.fromhex(first.frame)) < 4

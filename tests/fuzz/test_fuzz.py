"""The short form of `make fuzz`: every codec meets some spoilt frames in every run of the tests."""

import random

import msgspec
import pytest

from tests.fuzz.case import Case, Mutants
from tests.fuzz.codecs import CASES, refusable
from tests.fuzz.messages import guarded
from tests.fuzz.spoil import work
from tests.fuzz.trees import packed_mutant, settings_mutant, written_mutant


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


@pytest.mark.parametrize("name", [name for name in CASES if f"{name}.signed_again" in CASES])
def test_nothing_spoilt_is_accepted_that_was_not_signed(name: str) -> None:
    outcome = work(name, seed=2, frames=CASES[name].short)
    assert not outcome.findings
    assert 0 < outcome.refused <= outcome.frames
    # The frames that are as they were signed are taken: it is no wall.
    assert not any(CASES[name].run(seed) for seed in CASES[name].seeds)


def test_what_lies_behind_a_signature_is_reached() -> None:
    for name in ("receipt.signed_again", "status.signed_again", "envelope.signed_again", "command.signed_again"):
        outcome = work(name, seed=3, frames=CASES[name].short)
        assert 0 < outcome.refused < outcome.frames, name


WALLS = {"team_list.signed_again", "protocol.checked"}
"""A spoilt list names keys that are not their own; what is wrong in a protocol is said and not raised."""


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.mutants is not None])
def test_what_is_good_is_taken_and_some_of_what_is_badly_made_is_refused(name: str) -> None:
    case = CASES[name]
    assert not all(case.run(seed) for seed in case.seeds)
    assert name in WALLS or work(name, seed=4, frames=min(40, case.short)).refused


@pytest.mark.parametrize(
    ("make", "seed", "awaited"),
    [
        (packed_mutant, msgspec.msgpack.encode({"a": [1, {"b": "c"}]}), (b"\x91" * 900, b"\xdd\xff", b"a\n")),
        (written_mutant, b'{"a": [1, {"b": "c"}]}', (b"[" * 900, b"\\ud800", b"a\\n")),
        (settings_mutant, b'a = 1\n[b]\nc = "d"', (b"[" * 900, b".x.x.x", b"\\u0000")),
    ],
)
def test_the_worst_that_a_form_allows_is_among_the_mutants(make: Mutants, seed: bytes, awaited: tuple[bytes]) -> None:
    dice = random.Random(1)
    made = [make(dice, [seed], 1 << 17) for _ in range(1000)]
    for bad in awaited:
        assert any(bad in frame for frame in made), bad


def test_a_codec_that_accepts_what_nobody_signed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "gullible", Case([bytes(8)], guarded([bytes(8)], lambda frame: frame, ValueError)))
    assert work("gullible", seed=1, frames=100).findings

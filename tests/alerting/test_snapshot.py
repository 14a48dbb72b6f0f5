"""A snapshot is complete, and a foreign one is refused."""

import hashlib

import msgspec
import pytest

from alerting import snapshot
from alerting.engine import Engine
from alerting.errors import SnapshotError
from tests.alerting.worlds import PARIS, PATIENT, START, cgm, small

DIABETES = small("diabetes_cgm")
MARK = len(b"veilleur engine 1\n") + 16


@pytest.fixture
def data() -> bytes:
    engine = Engine(DIABETES, patient=PATIENT, zone=PARIS, since=START)
    engine.feed(cgm([100, 60, 60, 60, 60]))
    return engine.snapshot()


def rewritten(data: bytes, **fields: object) -> bytes:
    kept = snapshot.read(data)
    for name, value in fields.items():
        setattr(kept, name, value)
    return snapshot.write(kept)


def test_a_restored_engine_goes_on_as_the_first_would(data: bytes) -> None:
    engine = Engine.restore(DIABETES, data, zone=PARIS)
    assert engine.snapshot() == data
    assert [change.rule for change in engine.open_alerts] == ["hypo_level_1"]


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: b"else" + data, lambda data: data[:-1]])
def test_damaged_bytes_are_refused(data: bytes, spoil: "type[bytes]") -> None:
    with pytest.raises(SnapshotError):
        Engine.restore(DIABETES, spoil(data), zone=PARIS)


def test_every_flipped_bit_is_noticed(data: bytes) -> None:
    for place in range(0, len(data), 7):
        spoiled = bytearray(data)
        spoiled[place] ^= 4
        with pytest.raises(SnapshotError):
            Engine.restore(DIABETES, bytes(spoiled), zone=PARIS)


def test_another_protocol_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="protocol"):
        Engine.restore(small("heart_failure"), data, zone=PARIS)


def test_another_engine_version_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="version 0"):
        Engine.restore(DIABETES, rewritten(data, engine_version="0"), zone=PARIS)


def test_another_layout_is_refused(data: bytes) -> None:
    state = snapshot.read(data).state
    for other in (state[:-1], [state[0] + 1, *state[1:]]):
        with pytest.raises(SnapshotError, match="layout"):
            Engine.restore(DIABETES, rewritten(data, state=other), zone=PARIS)


def test_a_body_of_another_shape_is_refused(data: bytes) -> None:
    body = msgspec.msgpack.encode(["1", 2])
    foreign = data[: MARK - 16] + hashlib.sha256(body).digest()[:16] + body
    with pytest.raises(SnapshotError, match="version"):
        Engine.restore(DIABETES, foreign, zone=PARIS)

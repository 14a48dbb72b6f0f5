"""Faults as data, and what becomes of the frames they hit."""

from datetime import datetime

import pytest

from simulators.errors import FaultError
from simulators.faults import (
    Ailment,
    BreakAdapter,
    ChangeBattery,
    Cure,
    CutLink,
    DuplicateFrames,
    Interference,
    RecordManners,
    RecordOrder,
    RefuseConnections,
    ReplayMemory,
    SilentRacp,
    SlowRacp,
    Transmission,
    Truncate,
    WrongCrc,
    fault_name,
    parse_faults,
)

FRAME = b"\x01\x02\x03\x04"


def sent(frame: bytes, copies: int = 1, *, cut: bool = False) -> Transmission:
    return Transmission(frames=(frame,) * copies, cut=cut)


def test_faults_are_read_from_json() -> None:
    faults = parse_faults(
        '[{"kind": "cut_link", "device": "cgm", "after_frames": 3}, '
        '{"kind": "refuse_connections", "device": "C4:B0:00:00:00:01", "seconds": 1.5, "at": 1772352000000}]'
    )
    assert faults == (
        CutLink(device="cgm", after_frames=3),
        RefuseConnections(device="C4:B0:00:00:00:01", seconds=1.5, at=1_772_352_000_000),
    )
    assert [fault_name(fault) for fault in faults] == ["cut_link", "refuse_connections"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '[{"kind": "melt", "device": "cgm"}]',
        '[{"kind": "cut_link"}]',
        '[{"kind": "cut_link", "device": "cgm", "when": 3}]',
        '[{"kind": "wrong_crc", "device": "cgm", "frame": 0}]',
        '[{"kind": "refuse_connections", "device": "cgm"}]',
        '[{"kind": "refuse_connections", "device": "cgm", "seconds": -1}]',
    ],
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(FaultError):
        parse_faults(text)


def test_without_faults_frames_go_out_as_they_are() -> None:
    assert Interference().send(FRAME) == sent(FRAME)


def test_only_the_frame_that_is_meant_gets_a_wrong_crc() -> None:
    air = Interference()
    air.send(FRAME)
    air.arm(WrongCrc(device="cgm", frame=2))
    assert [air.send(FRAME) for _ in range(3)] == [sent(FRAME), sent(b"\x01\x02\x03\xfb"), sent(FRAME)]


def test_a_truncated_frame_is_half_as_long() -> None:
    air = Interference()
    air.arm(Truncate(device="cgm"))
    assert [air.send(FRAME), air.send(FRAME)] == [sent(FRAME[:2]), sent(FRAME)]


def test_frames_are_duplicated_for_a_while() -> None:
    air = Interference()
    air.arm(DuplicateFrames(device="cgm", frames=2))
    assert [air.send(FRAME) for _ in range(3)] == [sent(FRAME, 2), sent(FRAME, 2), sent(FRAME)]


def test_the_link_is_cut_after_the_frame_that_is_named() -> None:
    air = Interference()
    air.arm(CutLink(device="cgm", after_frames=2))
    assert [air.send(FRAME).cut for _ in range(3)] == [False, True, False]


def test_the_link_may_be_lost_before_a_frame_goes_out() -> None:
    air = Interference()
    air.arm(CutLink(device="cgm", after_frames=0))
    assert [air.send(FRAME), air.send(FRAME)] == [Transmission(frames=(), cut=True), sent(FRAME)]


def test_the_link_may_be_lost_after_a_confirmation() -> None:
    air = Interference()
    air.arm(CutLink(device="cgm", after_frames=2, confirmed=True))
    air.send(FRAME)
    assert air.send(FRAME) == Transmission(frames=(FRAME,), cut=True, confirmed=True)


def test_record_access_has_its_own_manners() -> None:
    manners = RecordManners()
    for fault in (
        SilentRacp(device="cgm", requests=2),
        SlowRacp(device="cgm", seconds=0.5),
        RecordOrder(device="cgm"),
        ReplayMemory(device="cgm"),
    ):
        manners.take(fault)
    assert [manners.stays_silent() for _ in range(3)] == [True, True, False]
    assert [manners.replays_all() for _ in range(2)] == [True, False]
    assert (manners.pause, manners.newest_first) == (0.5, True)


def test_times_and_ailments_are_read_from_json() -> None:
    battery, adapter = parse_faults(
        '[{"kind": "change_battery", "device": "scale", "keeps_bond": false, "clock": null}, '
        '{"kind": "break_adapter", "device": "adapter", "ailment": "silent", "cure": "restart"}]'
    )
    assert battery == ChangeBattery(device="scale", keeps_bond=False, clock=None)
    assert adapter == BreakAdapter(device="adapter", ailment=Ailment.SILENT, cure=Cure.RESTART)
    assert ChangeBattery(device="scale").clock == datetime(1970, 1, 1)  # noqa: DTZ001 a wall clock has no zone


@pytest.mark.parametrize(
    "fault",
    [
        '{"kind": "require_passkey", "device": "scale", "passkey": 0}',
        '{"kind": "require_passkey", "device": "scale", "passkey": 1000000}',
        '{"kind": "set_clock", "device": "scale", "shows": "1970-01-01T00:00:00Z"}',
        '{"kind": "set_battery", "device": "scale", "percent": 101}',
        '{"kind": "break_adapter", "device": "adapter", "ailment": "tired"}',
    ],
)
def test_values_that_a_knob_does_not_take_are_refused(fault: str) -> None:
    with pytest.raises(FaultError):
        parse_faults(f"[{fault}]")

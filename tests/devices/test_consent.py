"""A session with a scale that gives a user's weighings only to who shows that user's code."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devices.consent import Consent, ConsentPoint
from devices.drivers.weight_scale import WeightMeasurement
from devices.errors import RadioError
from devices.source import DeviceEventKind
from devices.user_data import UserRequest, UserResponse, UserResponseCode
from devices.wall_clock import CurrentTime, DateTime
from tests.devices.conftest import ScriptedDevice

WEIGHT, CONTROL, CLOCK = 0x2A9D, 0x2A9F, 0x2A2B
FIRST, SECOND = Consent(user=1, code=1234), Consent(user=2, code=4321)


class ScriptedScale(ScriptedDevice):
    """Sends a user's stored weighings once their code was shown.

    Attributes:
        codes: each user's.
        memory: frames by user, given in one go.
        answers: whether it answers a consent.
    """

    def __init__(self, bench: Any) -> None:
        now = bytes(CurrentTime.of(bench.clock.now, bench.zone))
        offered = {WEIGHT: {"indicate"}, CONTROL: {"write", "indicate"}, CLOCK: {"read", "write"}}
        super().__init__({CLOCK: now}, offered, bench.log)
        self.codes = {1: 1234, 2: 4321}
        self.memory: dict[int, list[bytes]] = {}
        self.answers = True
        self.consented: list[int] = []
        self.on_write[CONTROL] = self._on_consent

    def _on_consent(self, written: bytes) -> None:
        request = UserRequest.from_bytes(written)
        user, code = request.parameter[0], int.from_bytes(request.parameter[1:], "little")
        right = self.codes.get(user) == code
        if right:
            self.consented.append(user)
        answer = UserResponse(
            request=request.opcode,
            code=UserResponseCode.SUCCESS if right else UserResponseCode.USER_NOT_AUTHORIZED,
        )
        loop = asyncio.get_running_loop()
        if self.answers:
            loop.call_soon(self.send, CONTROL, bytes(answer))
        if right:
            for frame in self.memory.pop(user, []):
                loop.call_soon(self.send, WEIGHT, frame)


@pytest.fixture
def scale(bench: Any) -> ScriptedScale:
    bench.patience = replace(bench.patience, consent=0.1)
    return ScriptedScale(bench)


def weighing(bench: Any, user: int, kilograms: str, minutes_ago: int = 60) -> bytes:
    at = DateTime.of(bench.clock.now - minutes_ago * 60_000, bench.zone)
    return bytes(WeightMeasurement(weight=Decimal(kilograms), user_id=user, time_stamp=at))


def known(bench: Any) -> set[tuple[int | None, str]]:
    return {(reading.provenance.user, str(reading.value)) for reading in bench.store.readings.values()}


def clock_was_set(bench: Any) -> Callable[[], bool]:
    return lambda: DeviceEventKind.CLOCK_SET in bench.store.kinds()


def refusals(bench: Any) -> list[str]:
    return [event.detail for event in bench.store.events if event.kind is DeviceEventKind.CONSENT_REFUSED]


async def test_each_user_gives_their_own_once_their_code_was_shown(bench: Any, scale: ScriptedScale) -> None:
    scale.memory = {1: [weighing(bench, 1, "70.04")], 2: [weighing(bench, 2, "81.5")]}
    session = bench.session(scale, "weight_scale", consents=(FIRST, SECOND))
    await bench.follow(session, clock_was_set(bench))
    assert known(bench) == {(1, "70.040"), (2, "81.500")}
    assert scale.consented == [1, 2]
    assert refusals(bench) == []
    # The second user's turn comes in the first quiet moment, after what the first one gave is safe.
    assert bench.log.index("persisted") < bench.log.index("write 2A9F 0202e110")
    # Answers are listened to before anything is asked, measurements before both.
    assert (
        bench.log.index("subscribe 2A9D") < bench.log.index("subscribe 2A9F") < bench.log.index("write 2A9F 0201d204")
    )
    assert bench.log.index("write 2A9F 0202e110") < next(
        place for place, entry in enumerate(bench.log) if entry.startswith("write 2A2B")
    )


async def test_a_wrong_code_is_told_once_a_visit_and_costs_the_others_nothing(bench: Any, scale: ScriptedScale) -> None:
    scale.codes[1] = 1
    scale.memory = {1: [weighing(bench, 1, "70.04")], 2: [weighing(bench, 2, "81.5")]}
    session = bench.session(scale, "weight_scale", consents=(FIRST, SECOND))
    await bench.follow(session, clock_was_set(bench))
    assert refusals(bench) == ["the consent code of user 1 is wrong"]
    assert known(bench) == {(2, "81.500")}


async def test_a_scale_that_hangs_up_after_the_first_users_results_gives_every_users_in_turn(
    bench: Any, scale: ScriptedScale
) -> None:
    scale.codes[3] = 1
    consented = scale.on_write[CONTROL]

    def hang_up(written: bytes) -> None:
        consented(written)
        asyncio.get_running_loop().call_soon(scale.cut)

    scale.on_write[CONTROL] = hang_up
    scale.memory = {1: [weighing(bench, 1, "70.04")], 2: [weighing(bench, 2, "81.5")], 3: [weighing(bench, 3, "55")]}
    session = bench.session(scale, "weight_scale", consents=(FIRST, SECOND, Consent(user=3, code=1)))
    # As many links as users, and no more.
    await bench.follow(session, lambda: bench.log.count("connect") > 3 or len(known(bench)) == 3)
    assert known(bench) == {(1, "70.040"), (2, "81.500"), (3, "55.000")}


async def test_a_scale_that_leaves_a_consent_unanswered_is_read_all_the_same(bench: Any, scale: ScriptedScale) -> None:
    scale.answers = False
    scale.memory = {1: [weighing(bench, 1, "70.04")], 2: [weighing(bench, 2, "81.5")]}
    session = bench.session(scale, "weight_scale", consents=(FIRST, SECOND))
    await bench.follow(session, clock_was_set(bench))
    assert known(bench) == {(1, "70.040"), (2, "81.500")}
    assert refusals(bench) == []


async def test_a_weighing_that_comes_while_an_answer_is_waited_for_is_kept(bench: Any, scale: ScriptedScale) -> None:
    scale.answers = False
    scale.codes = {}
    loop = asyncio.get_running_loop()
    consented = scale.on_write[CONTROL]

    def live(written: bytes) -> None:
        consented(written)
        loop.call_soon(scale.send, WEIGHT, weighing(bench, 1, "70.04", minutes_ago=0))
        loop.call_soon(scale.cut)

    scale.on_write[CONTROL] = live
    await bench.follow(
        bench.session(scale, "weight_scale", consents=(FIRST,)),
        lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds(),
    )
    assert known(bench) == {(1, "70.040")}


async def test_a_scale_without_a_control_point_is_asked_for_no_consent(bench: Any, scale: ScriptedScale) -> None:
    del scale.offered[CONTROL]
    await bench.follow(bench.session(scale, "weight_scale", consents=(FIRST,)), clock_was_set(bench))
    assert not any("2A9F" in entry for entry in bench.log)


async def test_without_consents_the_control_point_is_left_alone(bench: Any, scale: ScriptedScale) -> None:
    await bench.follow(bench.session(scale, "weight_scale"), clock_was_set(bench))
    assert not any("2A9F" in entry for entry in bench.log)


async def test_no_code_reaches_a_log_or_an_event(
    bench: Any, scale: ScriptedScale, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    scale.codes = {}
    await bench.follow(
        bench.session(scale, "weight_scale", consents=(FIRST, SECOND)), lambda: len(refusals(bench)) == 2
    )
    said = caplog.text + repr(bench.store.events)
    assert not any(code in said for code in ("1234", "4321", "d204", "e110"))


@pytest.mark.parametrize(
    ("answers", "refusal"),
    [
        (["200201"], None),
        (["200101", "200201"], None),  # the answer to somebody else's request first
        (["200204"], "the device refused the consent of user 1 (code 4)"),
        (["2002"], "2A9F: truncated: the response code needs 1 bytes, 0 are left"),
        (["ff"], "2A9F: opcode 255 is not a response"),
        (["200101"] * 12, None),  # more than are kept, none of them the one waited for
    ],
)
async def test_every_answer_ends_the_waiting(
    bench: Any, scale: ScriptedScale, answers: list[str], refusal: str | None
) -> None:
    def reply(_: bytes) -> None:
        for answer in answers:
            scale.send(CONTROL, bytes.fromhex(answer))

    scale.on_write[CONTROL] = reply
    async with scale.connect(scale.device, within=1.0) as link:
        point = ConsentPoint(link, within=0.05)
        await point.open()
        # An answer from before is nobody's any more.
        scale.send(CONTROL, bytes.fromhex("200205"))
        assert await point.give(FIRST) == refusal


async def test_a_link_lost_while_consenting_is_a_failure_of_the_link(scale: ScriptedScale) -> None:
    async with scale.connect(scale.device, within=1.0) as link:
        point = ConsentPoint(link, within=0.05)
        await point.open()
        scale.cut()
        with pytest.raises(RadioError):
            await point.give(FIRST)

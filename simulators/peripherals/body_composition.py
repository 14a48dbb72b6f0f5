"""A virtual scale for several people that measures fat, muscle and water too, as Beurer's with Bluetooth services.

It offers Weight Scale (0x181D) and Body Composition (0x181B), and keeps each user's weighings until they are sent. It
sends them to who showed that user's consent code on this link, through the User Control Point of User Data (0x181C).
What it shows while somebody stands on it, without a date or a name, it sends to anybody who listens.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import ClassVar

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices import gatt
from devices.drivers import body_composition, weight_scale
from devices.drivers.body_composition import BodyCompositionFeature, BodyCompositionMeasurement
from devices.drivers.weight_scale import WeightMeasurement, WeightScaleFeature
from devices.reading import Quantity
from devices.user_data import UserOpcode, UserRequest, UserResponse, UserResponseCode
from devices.wall_clock import DateTime
from simulators.faults import (
    CLOCK_KNOBS,
    ChangeBattery,
    CutLink,
    DuplicateFrames,
    Fault,
    HangUp,
    LoseBond,
    RefuseConnections,
    Truncate,
)
from simulators.peripherals.peripheral import Circumstances, Peripheral, Properties, Taken

_STEP_G = 5
"""The finest step of a mass in kilograms."""
_CONSENT_LENGTH = 3
"""Of the parameter of a consent: the user's index and the code."""

_Frames = tuple[tuple[int, bytes], ...]
"""Of one weighing: characteristics and their frames, in the order of sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyWeighing:
    """A person on the scale.

    Attributes:
        at: ms UTC.
        weight: grams.
        fat: in 0.1 %; None with shoes on, when only the weight is measured.
        muscle: grams.
        water: grams.
        user: index of the person in the scale; None of somebody whom it does not know.
    """

    at: int
    weight: int
    fat: int | None = None
    muscle: int = 0
    water: int = 0
    user: int | None = None


class BodyCompositionScale(Peripheral):
    """A scale with electrodes.

    Attributes:
        answers_consent: False when it takes a consent without a word and gives the weighings all the same.
    """

    kind: ClassVar[str] = "body_composition"
    service: ClassVar[int] = gatt.BODY_COMPOSITION_SERVICE
    knobs: ClassVar[tuple[type[Fault], ...]] = (
        CutLink,
        RefuseConnections,
        DuplicateFrames,
        Truncate,
        LoseBond,
        HangUp,
        *CLOCK_KNOBS,
    )

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        codes: Mapping[int, int],
        battery: int = 87,
        two_packets: bool = False,
        shows_live: bool = False,
        answers_consent: bool = True,
        hangs_up: bool = True,
        idle_seconds: float = 20.0,
    ) -> None:
        """Put a scale together.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            codes: consent code of each user, by index.
            battery: percent.
            two_packets: whether a composition comes in two packets, the second of which repeats the weight.
            shows_live: whether it sends a weighing as it happens too, without a date or a user.
            answers_consent: whether it answers a consent.
            hangs_up: whether it disconnects right after its last weighing was confirmed.
            idle_seconds: real seconds with nothing to send after which it disconnects and waits for the next weighing.
        """
        self.answers_consent = answers_consent
        self._codes = dict(codes)
        self._two_packets = two_packets
        self._shows_live = shows_live
        self._hangs_up = hangs_up
        self._idle_seconds = idle_seconds
        self._memory: dict[int, deque[_Frames]] = {user: deque() for user in codes}
        self._live: bytes | None = None
        self._roused = False
        self._consented: set[int] = set()
        self._fed = asyncio.Event()
        self._weights = self._secured(gatt.WEIGHT_MEASUREMENT, Properties.INDICATE)
        self._compositions = self._secured(gatt.BODY_COMPOSITION_MEASUREMENT, Properties.INDICATE)
        control: CharacteristicValue[bytes] = CharacteristicValue(write=self._on_request)
        self._control = self._secured(gatt.USER_CONTROL_POINT, Properties.WRITE | Properties.INDICATE, control)
        super().__init__(address, where, name=name, battery=battery)
        for characteristic in (self._weights, self._compositions):
            characteristic.on(Characteristic.EVENT_SUBSCRIPTION, lambda *_: self._fed.set())

    @property
    def unsent(self) -> int:
        """How many weighings are still to be sent."""
        return sum(len(weighings) for weighings in self._memory.values())

    def wants_link(self) -> bool:
        """Return whether it was stood on since it last had nothing more to say."""
        return self._roused

    # Weighing

    def preload(self, weighings: Iterable[BodyWeighing]) -> None:
        """Fill the memory with weighings of earlier days, oldest first, that no box has seen."""
        for weighing in weighings:
            self._remember(weighing)

    def take(self, weighing: BodyWeighing) -> None:
        """Weigh a person: keep the weighing until a box has it; one of somebody unknown is shown only."""
        self._remember(weighing)
        if self._shows_live:
            self._live = bytes(WeightMeasurement(weight=_kilograms(weighing.weight)))
        self._fed.set()

    def _remember(self, weighing: BodyWeighing) -> None:
        time_stamp, measured_at = self._dated(weighing.at)
        self._roused = True
        self._wants_changed.set()
        if weighing.user is None or weighing.user not in self._memory:
            return
        weight = WeightMeasurement(weight=_kilograms(weighing.weight), time_stamp=time_stamp, user_id=weighing.user)
        packets = self._composition(weighing, time_stamp)
        compositions = tuple((gatt.BODY_COMPOSITION_MEASUREMENT, bytes(packet)) for packet in packets)
        self._memory[weighing.user].append(((gatt.WEIGHT_MEASUREMENT, bytes(weight)), *compositions))
        self._where.witness.taken(
            [
                Taken(device=self.address, quantity=quantity, count=count, measured_at=measured_at)
                for quantity, count in _counts(weighing)
            ]
        )

    def _composition(self, weighing: BodyWeighing, time_stamp: DateTime) -> tuple[BodyCompositionMeasurement, ...]:
        """Return the packets of a composition: zeros in every field of one that was not measured."""
        fat = Decimal(weighing.fat or 0) / 10
        whole = BodyCompositionMeasurement(
            body_fat=fat,
            time_stamp=time_stamp,
            user_id=weighing.user,
            muscle_mass=_kilograms(weighing.muscle),
            body_water_mass=_kilograms(weighing.water),
        )
        if not self._two_packets:
            return (whole,)
        return (
            replace(whole, body_water_mass=None, multiple_packets=True),
            BodyCompositionMeasurement(
                body_fat=fat,
                body_water_mass=whole.body_water_mass,
                weight=_kilograms(weighing.weight),
                multiple_packets=True,
            ),
        )

    # Sending

    def _on_connection(self, link: Connection) -> None:
        super()._on_connection(link)
        self._consented.clear()
        self._on_link(self._deliver(link), "delivery")

    async def _deliver(self, link: Connection) -> None:
        while self._link is link:
            self._fed.clear()
            sent = await self._send_live(link)
            for user in sorted(self._consented):
                sent |= await self._send_stored(link, self._memory[user])
            if sent and self._hangs_up and not self.unsent:
                self._rest()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._fed.wait()
            except TimeoutError:
                self._rest()

    def _rest(self) -> None:
        """Hang up, and be silent until somebody stands on the scale."""
        self._roused = False
        self._hang_up()

    async def _send_live(self, link: Connection) -> bool:
        if self._live is None or not self._subscribed(self._weights):
            return False
        live, self._live = self._live, None
        await self._send(link, partial(self._indicate, self._weights), live)
        return True

    async def _send_stored(self, link: Connection, weighings: deque[_Frames]) -> bool:
        """Send what a user has, oldest first; each weighing is forgotten when it is confirmed to its last frame."""
        sent = False
        while weighings:
            for number, frame in weighings[0]:
                characteristic = self._weights if number == gatt.WEIGHT_MEASUREMENT else self._compositions
                await self._send(link, partial(self._indicate, characteristic), frame)
            weighings.popleft()
            sent = True
        return sent

    async def _indicate(self, characteristic: Characteristic[bytes], link: Connection, frame: bytes) -> None:
        """Return when the box has confirmed."""
        await self._radio.gatt_server.indicate_subscriber(link, characteristic, frame)

    # Consent

    def _on_request(self, link: Connection, written: bytes) -> None:
        """Take a request for a user's weighings, and answer it, or not."""
        request = UserRequest.from_bytes(bytes(written))
        code = UserResponseCode.OPCODE_NOT_SUPPORTED
        if request.opcode == UserOpcode.CONSENT:
            code = self._consent(request.parameter)
        if self.answers_consent:
            answer = UserResponse(request=request.opcode, code=code)
            self._on_link(self._answer(link, bytes(answer)), "answer")
        else:
            self._fed.set()

    def _consent(self, parameter: bytes) -> UserResponseCode:
        if len(parameter) != _CONSENT_LENGTH:
            return UserResponseCode.INVALID_PARAMETER
        user, code = parameter[0], int.from_bytes(parameter[1:], "little")
        if self._codes.get(user) != code:
            return UserResponseCode.USER_NOT_AUTHORIZED
        self._consented.add(user)
        return UserResponseCode.SUCCESS

    async def _answer(self, link: Connection, answer: bytes) -> None:
        await self._indicate(self._control, link, answer)
        self._fed.set()

    # GATT

    def _services(self) -> list[Service]:
        weights = WeightScaleFeature(
            features=weight_scale.Features.TIME_STAMP | weight_scale.Features.MULTIPLE_USERS, weight_resolution=7
        )
        compositions = BodyCompositionFeature(
            features=body_composition.Features.TIME_STAMP
            | body_composition.Features.MULTIPLE_USERS
            | body_composition.Features.MUSCLE_MASS
            | body_composition.Features.BODY_WATER_MASS,
            mass_resolution=7,
        )
        offered = {
            gatt.BODY_COMPOSITION_SERVICE: (
                self._compositions,
                self._secured(gatt.BODY_COMPOSITION_FEATURE, Properties.READ, bytes(compositions)),
            ),
            gatt.WEIGHT_SCALE_SERVICE: (
                self._weights,
                self._secured(gatt.WEIGHT_SCALE_FEATURE, Properties.READ, bytes(weights)),
            ),
            gatt.USER_DATA_SERVICE: (self._control,),
        }
        return [
            *(Service(UUID.from_16_bits(number), list(inside)) for number, inside in offered.items()),
            self._current_time_service(),
        ]

    # Faults

    async def _apply(self, fault: Fault) -> None:
        if isinstance(fault, HangUp):
            self._hangs_up = fault.hangs_up
            return
        if isinstance(fault, ChangeBattery) and not fault.keeps_records:
            for weighings in self._memory.values():
                weighings.clear()
        await super()._apply(fault)


def _kilograms(grams: int) -> Decimal:
    return Decimal(_shown(grams)) / 1000


def _shown(grams: int) -> int:
    return round(grams / _STEP_G) * _STEP_G


def _counts(weighing: BodyWeighing) -> list[tuple[Quantity, int]]:
    """Return what a box can know of a weighing, as the scale shows it."""
    weight = [(Quantity.BODY_WEIGHT, _shown(weighing.weight))]
    if weighing.fat is None:
        return weight
    return [
        *weight,
        (Quantity.BODY_FAT, weighing.fat),
        (Quantity.MUSCLE_MASS, _shown(weighing.muscle)),
        (Quantity.BODY_WATER_MASS, _shown(weighing.water)),
    ]

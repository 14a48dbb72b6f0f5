"""What every virtual device shares: a radio, a bond, a clock of its own, a battery, and faults.

A subclass brings its GATT service, its memory, and what it does when a person takes a reading. It is a *device*, so
it knows no patient, and encodes every frame with the same code that the box decodes with.

- Its measurements, and the switches that enable them, need an encrypted link: it bonds (Just Works, or with six digits
  that it shows) and keeps its bonds in memory, as long as it lives.
- It speaks to one box at a time, and advertises only while it wants to be found. One that is not `connectable` says
  all in its advertisements.
- Its wall clock shows local time and may be wrong; a box may set it through Current Time, or Date Time.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from zoneinfo import ZoneInfo

from bumble import data_types
from bumble.att import Attribute
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.hci import Address, HCI_ErrorCode
from bumble.profiles.battery_service import BatteryService
from bumble.profiles.device_information_service import DeviceInformationService

from devices import gatt
from devices.clock import Clock
from devices.reading import Quantity
from devices.wall_clock import DateTime
from simulators.adapter import apart, cancel_until_done
from simulators.clock import reach
from simulators.errors import FaultError
from simulators.faults import (
    COMMON_KNOBS,
    BatteryFault,
    ChangeBattery,
    ClockFault,
    CutLink,
    DoorFault,
    Fault,
    FrameFault,
    Interference,
    RecordFault,
    RecordManners,
    SetBattery,
    fault_name,
)
from simulators.link import Air, DeviceController
from simulators.peripherals.door import Door
from simulators.peripherals.own_clock import OwnClock

Properties = Characteristic.Properties

_FULL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One value that a device took, with what a box will know it by.

    Attributes:
        device: Bluetooth address, upper case.
        quantity: what was measured.
        count: in quanta of the quantity, as the device shows it.
        measured_at: ms UTC, as the device dates it; 0 when it does not, because its clock was never set.
    """

    device: str
    quantity: Quantity
    count: int
    measured_at: int


class Witness(Protocol):
    """Who sees what happens at a device."""

    def taken(self, readings: Sequence[Taken]) -> None:
        """See the values of one record that a device took."""
        ...

    def happened(self, event: str, device: str, detail: str = "") -> None:
        """See an event: "connected", "disconnected", "fault" or "passkey"; `detail` is one clause or empty."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where a device lives.

    Attributes:
        air: the virtual air.
        clock: true simulated time.
        zone: the patient's time zone, in which wall clocks show local time.
        witness: who sees what happens.
        advertising_seconds: real seconds from one advertisement to the next.
        awake_seconds: real seconds for which a device can be found after it came up, even with nothing to send.
        date_time: whether a device with a wall clock offers it as Date Time (0x2A08) instead of Current Time.
    """

    air: Air
    clock: Clock
    zone: ZoneInfo
    witness: Witness
    advertising_seconds: float = 0.2
    awake_seconds: float = 30.0
    date_time: bool = False


class Timed(Protocol):
    """Something that a body does at a moment, `at` in ms UTC."""

    @property
    def at(self) -> int:
        """Ms UTC."""
        ...


class Peripheral(ABC):
    """One virtual device.

    Attributes:
        kind: the name of the driver that reads it.
        service: the 16-bit service that it advertises.
        knobs: the faults that it can suffer, besides those of every device.
        connectable: False when it says all in its advertisements (`_broadcast`) and lets nobody connect.
        address: Bluetooth address, upper case.
        battery: percent.
        clock: its own wall clock.
    """

    kind: ClassVar[str]
    service: ClassVar[int]
    knobs: ClassVar[tuple[type[Fault], ...]]
    connectable: ClassVar[bool] = True

    def __init__(self, address: str, where: Circumstances, *, name: str, battery: int = 87) -> None:
        """Put a device together; `start` switches it on.

        Args:
            address: static random Bluetooth address, upper case, such as "C4:B0:00:00:00:01".
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
        """
        self.address = address
        self.battery = battery
        self.clock = OwnClock(where.clock, where.zone)
        self._name = name
        self._where = where
        self._controller = DeviceController(name, where.air)
        config = DeviceConfiguration(name=name, address=Address(address))
        self._radio = Device.from_config_with_hci(config, self._controller, self._controller)
        self._wants_changed = asyncio.Event()
        self._door = Door(
            self._radio,
            self._controller,
            connectable=self.connectable,
            on_change=self._wants_changed.set,
            on_passkey=lambda digits: where.witness.happened("passkey", address, digits),
        )
        self._manners = RecordManners()
        self._data: Mapping[int, bytes] = {}
        self._data_changed = False
        self._radio.on(Device.EVENT_CONNECTION, self._on_connection)
        self._link: Connection | None = None
        self._link_tasks: set[asyncio.Task[None]] = set()
        self._interference = Interference()
        self._on_air = False
        self._awake_until = 0.0
        self._radio.add_services(
            [
                *self._services(),
                BatteryService(lambda _: self.battery),
                DeviceInformationService(
                    manufacturer_name="Veilleur simulators",
                    model_number=name,
                    serial_number=address.replace(":", ""),
                    firmware_revision="1.0",
                ),
            ]
        )
        self._guard_subscriptions()
        self._radio.advertising_data = self._advertisement()

    @abstractmethod
    def _services(self) -> list[Service]:
        """Return the device's own GATT services."""

    @abstractmethod
    def wants_link(self) -> bool:
        """Return whether the device has a reason to be found now."""

    # Switching on, being found

    async def start(self) -> None:
        """Switch the device on; it can be found from now on while `run` runs."""
        self._awake_until = asyncio.get_running_loop().time() + self._where.awake_seconds
        await apart(self._radio.power_on())

    async def run(self) -> None:
        """Be found whenever it is right, until cancelled."""
        wake = asyncio.get_running_loop().call_at(self._awake_until, self._wants_changed.set)
        try:
            while True:
                self._wants_changed.clear()
                await self._be_found_or_not()
                await self._wants_changed.wait()
        finally:
            wake.cancel()
            self._leave()

    async def _be_found_or_not(self) -> None:
        awake = asyncio.get_running_loop().time() < self._awake_until
        wanted = self._link is None and not self._door.absent and ((awake and self.connectable) or self.wants_link())
        if wanted and (self._data_changed or not self._on_air):
            interval_ms = self._where.advertising_seconds * 1000
            self._on_air, self._data_changed = True, False
            self._radio.advertising_data = self._advertisement()
            await apart(
                self._radio.start_advertising(
                    advertising_interval_min=interval_ms, advertising_interval_max=interval_ms
                )
            )
        elif self._on_air and not wanted and self._link is None:
            self._on_air = False
            await apart(self._radio.stop_advertising())

    def _broadcast(self, service_data: Mapping[int, bytes]) -> None:
        """Say this in every advertisement from now on, by 16-bit service."""
        self._data, self._data_changed = dict(service_data), True
        self._wants_changed.set()

    def _leave(self) -> None:
        for task in tuple(self._link_tasks):
            cancel_until_done(task)
        self._controller.drop(HCI_ErrorCode.REMOTE_DEVICE_TERMINATED_CONNECTION_DUE_TO_POWER_OFF_ERROR)
        self._where.air.remove_controller(self._controller)

    def _advertisement(self) -> bytes:
        flags = AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
        return bytes(
            AdvertisingData(
                [
                    data_types.Flags(flags),
                    data_types.CompleteListOf16BitServiceUUIDs([UUID.from_16_bits(self.service)]),
                    *(
                        data_types.ServiceData16BitUUID(UUID.from_16_bits(number), payload)
                        for number, payload in self._data.items()
                    ),
                    data_types.CompleteLocalName(self._name),
                ]
            )
        )

    # The link

    def _on_connection(self, link: Connection) -> None:
        self._link, self._on_air = link, False
        link.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        self._door.watch(link)
        self._where.witness.happened("connected", self.address)

    def _on_disconnection(self, reason: int) -> None:
        self._link = None
        for task in tuple(self._link_tasks):
            cancel_until_done(task)
        self._where.witness.happened("disconnected", self.address, HCI_ErrorCode(reason).name.lower())
        self._wants_changed.set()

    def _on_link(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work that ends with the link at the latest."""
        task = asyncio.create_task(work, name=f"{self.kind} {name}")
        self._link_tasks.add(task)
        task.add_done_callback(self._link_tasks.discard)
        return task

    def _subscribed(self, characteristic: Characteristic[bytes]) -> bool:
        """Return whether the box listens to a characteristic."""
        enabled = self._radio.gatt_server.subscribers.get(self._link, {}) if self._link is not None else {}
        return any(enabled.get(characteristic.handle, b""))

    async def _send(
        self, link: Connection, deliver: Callable[[Connection, bytes], Awaitable[None]], frame: bytes
    ) -> None:
        """Send one measurement frame as the armed faults want it."""
        transmission = self._interference.send(frame)
        if not transmission.frames:
            self.cut_link()
            await asyncio.Event().wait()  # ends with the link
        if transmission.cut and not transmission.confirmed:
            # The last frame still goes out, but its confirmation finds nobody.
            asyncio.get_running_loop().call_soon(self.cut_link)
        for item in transmission.frames:
            await deliver(link, item)
        if transmission.confirmed:
            self.cut_link()

    def cut_link(self) -> None:
        """Lose the link, as when somebody walks out of range."""
        self._controller.drop(HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def _hang_up(self) -> None:
        self._controller.drop(HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR)

    # GATT

    def _secured(
        self, number: int, properties: Properties, value: "bytes | CharacteristicValue[bytes]" = b""
    ) -> Characteristic[bytes]:
        """Return a characteristic that is reached over an encrypted link only."""
        allowed = Attribute.READ_REQUIRES_ENCRYPTION | Attribute.WRITE_REQUIRES_ENCRYPTION
        if properties & Properties.READ:
            allowed |= Attribute.READABLE
        if properties & Properties.WRITE:
            allowed |= Attribute.WRITEABLE
        return Characteristic(UUID.from_16_bits(number), properties, allowed, value)

    def _current_time_service(self) -> Service:
        """Return the service through which a box reads and sets the wall clock."""
        value: CharacteristicValue[bytes]
        if self._where.date_time:
            value = CharacteristicValue(
                read=lambda _: self.clock.date_time(), write=lambda _, written: self.clock.set_date_time(written)
            )
            shown = self._secured(gatt.DATE_TIME, Properties.READ | Properties.WRITE, value)
        else:
            value = CharacteristicValue(
                read=lambda _: self.clock.current_time(), write=lambda _, written: self.clock.set_current_time(written)
            )
            shown = self._secured(gatt.CURRENT_TIME, Properties.READ | Properties.WRITE, value)
        return Service(UUID.from_16_bits(gatt.CURRENT_TIME_SERVICE), [shown])

    def _guard_subscriptions(self) -> None:
        """Let the switches of secured characteristics need encryption too, which Bumble leaves open."""
        owner: Attribute[Any] | None = None
        for attribute in self._radio.gatt_server.attributes:
            if isinstance(attribute, Characteristic):
                owner = attribute
            elif attribute.type == GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR and owner is not None:
                attribute.permissions |= owner.permissions & Attribute.WRITE_REQUIRES_ENCRYPTION

    # The wall clock

    @property
    def clock_offset_ms(self) -> int:
        """How far its wall clock is ahead of true time."""
        return self.clock.offset_ms

    def wall_clock_ms(self) -> int:
        """Return the moment that the wall clock shows, ms UTC."""
        return self.clock.now_ms()

    def _dated(self, at: int) -> tuple[DateTime, int]:
        """Return what the wall clock shows at true time `at`, and the ms UTC that this means.

        A clock that was never set shows year 0, which means 0.
        """
        return self.clock.dated(at)

    # Faults

    def check(self, fault: Fault) -> None:
        """Do nothing when the device has the knob that a fault turns.

        Raises:
            FaultError: it has none.
        """
        if not isinstance(fault, self.knobs + COMMON_KNOBS):
            raise FaultError(f"a {self.kind} has no fault {fault_name(fault)!r}")

    async def suffer(self, fault: Fault) -> None:
        """Let a fault happen at its time, `at`, or now.

        Raises:
            FaultError: this kind of device has no such knob.
        """
        self.check(fault)
        if fault.at is not None:
            await reach(self._where.clock, fault.at)
        await self._apply(fault)
        self._where.witness.happened("fault", self.address, fault_name(fault))

    async def _apply(self, fault: Fault) -> None:
        if isinstance(fault, CutLink) and fault.after_frames is None:
            self.cut_link()
        elif isinstance(fault, FrameFault):
            self._interference.arm(fault)
        elif isinstance(fault, RecordFault):
            self._manners.take(fault)
        elif isinstance(fault, ClockFault):
            self.clock.suffer(fault)
        elif isinstance(fault, BatteryFault):
            await self._apply_to_battery(fault)
        elif isinstance(fault, DoorFault) and await self._door.suffer(fault):
            self.cut_link()

    async def _apply_to_battery(self, fault: BatteryFault) -> None:
        match fault:
            case SetBattery(percent=percent):
                self.battery = percent
            case ChangeBattery(clock=clock, keeps_bond=keeps_bond):
                self.battery = _FULL
                self.clock.restart(clock)
                if not keeps_bond:
                    await self._door.forget_bonds()
                self.cut_link()

"""What can be done about an adapter through BlueZ and systemd (`devices.recovery.AdapterControl`).

Switching it off and on, and restarting the Bluetooth service. Both go over the system's D-Bus; whether this program
may do it is the machine's to say (a polkit rule for the restart), and a refusal is an answer.

Not here: what goes past BlueZ, for an adapter that its driver has lost (`sysfs_adapter`).

Sources: BlueZ's documentation of `org.bluez.Adapter1` (Powered); systemd's of `org.freedesktop.systemd1.Manager`
(RestartUnit).
"""

import asyncio
import contextlib
from typing import Final

from dbus_fast import Variant

from devices.bluez_bus import BLUEZ, BluezBus, BluezCallError, system_bus
from devices.errors import RadioError
from devices.recovery import Step, StepError

_ADAPTER: Final = "org.bluez.Adapter1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_DBUS: Final = "org.freedesktop.DBus"
_DBUS_PATH: Final = "/org/freedesktop/DBus"
_SYSTEMD: Final = "org.freedesktop.systemd1"
_SYSTEMD_PATH: Final = "/org/freedesktop/systemd1"
_REFUSALS: Final = ("AccessDenied", "InteractiveAuthorizationRequired", "AuthFailed")


class BluezAdapter:
    """One adapter and the service that drives it."""

    def __init__(
        self,
        adapter: str = "hci0",
        *,
        service: str = "bluetooth.service",
        off: float = 1.0,
        within: float = 30.0,
        pause: float = 0.5,
    ) -> None:
        """Take an adapter.

        Args:
            adapter: such as "hci0".
            service: BlueZ's systemd unit.
            off: how long it stays switched off, in seconds.
            within: how long BlueZ may take to come up again, in seconds.
            pause: between two looks whether it has, in seconds.
        """
        self._path = f"/org/bluez/{adapter}"
        self._service = service
        self._off = off
        self._within = within
        self._pause = pause

    async def steps(self) -> tuple[Step, ...]:
        """Return what is possible here: a service that hangs can still be restarted."""
        possible: list[Step] = []
        with contextlib.suppress(RadioError):
            async with system_bus() as bus:
                if await self._has_systemd(bus):
                    possible.append(Step.RESTART_BLUETOOTHD)
                await self._is_powered(bus)
                possible.append(Step.POWER_CYCLE)
        return tuple(step for step in Step if step in possible)

    async def take(self, step: Step) -> None:
        """Take one of the steps.

        Raises:
            StepError: it could not be taken.
        """
        try:
            async with system_bus() as bus:
                if step is Step.POWER_CYCLE:
                    await self._power_cycle(bus)
                elif step is Step.RESTART_BLUETOOTHD:
                    await self._restart(bus)
                else:
                    raise StepError("not possible through BlueZ")
        except BluezCallError as error:
            refused = error.name.endswith(_REFUSALS)
            raise StepError("not permitted to this program" if refused else str(error)) from error
        except RadioError as error:
            raise StepError(str(error)) from error

    async def _power_cycle(self, bus: BluezBus) -> None:
        """Switch off and on; on in any case, so that nothing is left worse than it was.

        Raises:
            RadioError: BlueZ refused, or does not answer.
            StepError: it stayed off.
        """
        try:
            await self._power(bus, on=False)
            await asyncio.sleep(self._off)
        finally:
            await self._power(bus, on=True)
        if not await self._is_powered(bus):
            raise StepError("it stays switched off")

    async def _restart(self, bus: BluezBus) -> None:
        """Restart the service and wait until it drives the adapter again, switched on.

        Raises:
            RadioError: systemd refused, or does not answer.
            StepError: the service does not come up again.
        """
        before = await self._owner(bus)
        await bus.call(
            _SYSTEMD_PATH,
            f"{_SYSTEMD}.Manager",
            "RestartUnit",
            "ss",
            self._service,
            "replace",
            destination=_SYSTEMD,
        )
        try:
            async with asyncio.timeout(self._within):
                await self._up_again(bus, before)
        except TimeoutError:
            raise StepError("the service did not bring the adapter up again") from None

    async def _up_again(self, bus: BluezBus, before: str | None) -> None:
        """Return when another process is BlueZ and its adapter is on."""
        while True:
            if await self._owner(bus) not in {None, before} and await self._is_on(bus):
                return
            await asyncio.sleep(self._pause)

    async def _is_on(self, bus: BluezBus) -> bool:
        """Switch the adapter on, which some systems do not by themselves; return whether it is."""
        with contextlib.suppress(RadioError):
            await self._power(bus, on=True)
            return await self._is_powered(bus)
        return False

    async def _power(self, bus: BluezBus, *, on: bool) -> None:
        await bus.call(self._path, _PROPERTIES, "Set", "ssv", _ADAPTER, "Powered", Variant("b", on))

    async def _is_powered(self, bus: BluezBus) -> bool:
        (powered,) = await bus.call(self._path, _PROPERTIES, "Get", "ss", _ADAPTER, "Powered")
        return bool(powered)

    @staticmethod
    async def _owner(bus: BluezBus) -> str | None:
        """Return which process is BlueZ now; None when there is none."""
        with contextlib.suppress(BluezCallError):
            (owner,) = await bus.call(_DBUS_PATH, _DBUS, "GetNameOwner", "s", BLUEZ, destination=_DBUS)
            return str(owner)
        return None

    @staticmethod
    async def _has_systemd(bus: BluezBus) -> bool:
        (has,) = await bus.call(_DBUS_PATH, _DBUS, "NameHasOwner", "s", _SYSTEMD, destination=_DBUS)
        return bool(has)

"""The box's pairing agent: what BlueZ asks when a device is bonded (`org.bluez.Agent1`), which bleak does not answer.

Rules of this room:

- Only the one device that an installer is pairing is answered for; every other request is rejected, and so is
  everything while nobody pairs: whoever stands near the box cannot bond with it by surprise.
- The agent is the system's default one as long as it is registered, because bleak pairs over a D-Bus connection of
  its own, of which BlueZ knows no agent.
- Codes are handed on and never logged.

Source: BlueZ, org.bluez.Agent(5) and org.bluez.AgentManager(5).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, Final, TypeVar

from dbus_fast import DBusError, Message
from dbus_fast.annotations import DBusObjectPath, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

from devices.bluez_bus import BLUEZ, BluezBus, system_bus
from devices.errors import RadioError
from devices.installer import LARGEST_PASSKEY, Installer

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_PATH: Final = "/org/veilleur/agent"
_MANAGER: Final = "org.bluez.AgentManager1"
_AGAIN_S: Final = 30.0
"""Pause before the agent is registered again with a Bluetooth service that went away."""


class Capability(StrEnum):
    """What BlueZ may ask of an agent."""

    ALL = "KeyboardDisplay"
    NOTHING = "NoInputNoOutput"


def _rejected(why: str) -> DBusError:
    return DBusError("org.bluez.Error.Rejected", why)


class PairingAgent(ServiceInterface):
    """Answers BlueZ for the one device that is being paired."""

    def __init__(self, device: str | None = None, installer: Installer | None = None) -> None:
        """Make an agent.

        Args:
            device: address of the device that is being paired; None: none is, and everything is rejected.
            installer: who answers.
        """
        super().__init__("org.bluez.Agent1")
        self._device = None if device is None else device.upper()
        self._installer = installer
        self._asking: asyncio.Future[Any] | None = None

    def _expected(self, path: str) -> tuple[str, Installer]:
        """Return the device that a path means and who answers for it.

        Raises:
            DBusError: it is not the one that is being paired.
        """
        address = path.rpartition("/dev_")[2].replace("_", ":").upper()
        if self._installer is None or address != self._device:
            _log.info("a device that nobody is pairing asked to be bonded, and was refused")
            raise _rejected("nobody is pairing this device")
        return address, self._installer

    async def _ask(self, question: Coroutine[Any, Any, _T]) -> _T:
        """Return the installer's answer.

        Raises:
            DBusError: BlueZ cancelled the request.
        """
        asking: asyncio.Future[_T] = asyncio.ensure_future(question)
        self._asking = asking
        try:
            await asyncio.wait({asking})
            if asking.cancelled():
                raise DBusError("org.bluez.Error.Canceled", "the request was cancelled")
            return asking.result()
        finally:
            asking.cancel()

    async def _passkey(self, path: str) -> int:
        address, installer = self._expected(path)
        code = await self._ask(installer.passkey(address))
        if code is None or not 0 <= code <= LARGEST_PASSKEY:
            raise _rejected("no code was given")
        return code

    @dbus_method(name="RequestPasskey")
    async def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        """Return the six digits that the device shows."""
        return await self._passkey(device)

    @dbus_method(name="RequestPinCode")
    async def request_pin_code(self, device: DBusObjectPath) -> DBusStr:
        """Return the digits that the device shows, as older devices want them."""
        return f"{await self._passkey(device):06d}"

    @dbus_method(name="DisplayPasskey")
    def display_passkey(self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16) -> None:
        """Show digits that are to be typed in at the device, once for all keys that are pressed there."""
        address, installer = self._expected(device)
        if entered == 0:
            installer.show(address, f"{passkey:06d}")

    @dbus_method(name="DisplayPinCode")
    def display_pin_code(self, device: DBusObjectPath, pincode: DBusStr) -> None:
        """Show a code that is to be typed in at the device."""
        address, installer = self._expected(device)
        installer.show(address, pincode)

    @dbus_method(name="RequestConfirmation")
    async def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:
        """Agree when the device shows the same digits."""
        address, installer = self._expected(device)
        if not await self._ask(installer.confirm(address, f"{passkey:06d}")):
            raise _rejected("the codes differ")

    @dbus_method(name="RequestAuthorization")
    def request_authorization(self, device: DBusObjectPath) -> None:
        """Agree to a bond without any code (Just Works)."""
        self._expected(device)

    @dbus_method(name="AuthorizeService")
    def authorize_service(self, device: DBusObjectPath, uuid: DBusStr) -> None:
        """Agree to a service of the device."""
        del uuid
        self._expected(device)

    @dbus_method(name="Cancel")
    def cancel(self) -> None:
        """Ask no more: the request failed meanwhile."""
        self.cancel_question()

    @dbus_method(name="Release")
    def release(self) -> None:
        """Take note that BlueZ unregistered the agent."""
        self.cancel_question()

    def cancel_question(self) -> None:
        """Ask the installer no more."""
        if self._asking is not None:
            self._asking.cancel()


@asynccontextmanager
async def registered(bus: BluezBus, agent: PairingAgent, capability: Capability) -> AsyncIterator[None]:
    """Let BlueZ ask an agent while the context is open.

    Raises:
        RadioError: BlueZ does not answer, or refuses.
    """
    bus.export(_PATH, agent)
    await bus.call("/org/bluez", _MANAGER, "RegisterAgent", "os", _PATH, capability.value)
    try:
        await bus.call("/org/bluez", _MANAGER, "RequestDefaultAgent", "o", _PATH)
        yield
    finally:
        agent.cancel_question()
        # With the connection the registration ends at the latest.
        with suppress(RadioError):
            await bus.call("/org/bluez", _MANAGER, "UnregisterAgent", "o", _PATH)


async def _service_lost(bus: BluezBus) -> None:
    """Return when BlueZ has gone away, and with it the agent."""
    lost = asyncio.Event()

    def look_at(message: Message) -> None:
        if message.member == "NameOwnerChanged" and message.body[0] == BLUEZ and not message.body[2]:
            lost.set()

    bus.listen(look_at)
    await bus.match(f"member='NameOwnerChanged',arg0='{BLUEZ}'")
    waiting = [asyncio.ensure_future(lost.wait()), asyncio.ensure_future(bus.closed())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _refuse_surprises(again: float) -> None:
    told = ""
    while True:
        try:
            async with system_bus() as bus, registered(bus, PairingAgent(), Capability.NOTHING):
                told = ""
                await _service_lost(bus)
        except RadioError as error:
            if str(error) != told:
                told = str(error)
                _log.info("no pairing agent: %s", told)
        await asyncio.sleep(again)


@asynccontextmanager
async def refusing_surprises(*, again: float = _AGAIN_S) -> AsyncIterator[None]:
    """Reject whoever wants to bond while the context is open and nobody pairs.

    Args:
        again: real seconds between two tries while there is no Bluetooth service.
    """
    guard = asyncio.create_task(_refuse_surprises(again), name="pairing agent")
    try:
        yield
    finally:
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)

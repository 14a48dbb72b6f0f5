"""A connection to BlueZ over the system's D-Bus, for what bleak has no words for: pairing agents and bonds.

Every call has a hard timeout; whatever goes wrong comes out as a `RadioError` that says whether the Bluetooth service
answers at all. The system bus's own policy lets nobody but BlueZ call what is exported here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from dbus_fast import BusType, DBusError, Message, MessageType, unpack_variants
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError
from dbus_fast.service import ServiceInterface

from devices.errors import RadioError

BLUEZ: Final = "org.bluez"
DEVICE: Final = "org.bluez.Device1"

_DBUS: Final = "org.freedesktop.DBus"
_GONE: Final = frozenset(
    {
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        # What a call gets whose answer was still owed when the service died.
        "org.freedesktop.DBus.Error.NoReply",
        # A service that D-Bus starts, and that does not come up in time.
        "org.freedesktop.DBus.Error.TimedOut",
    }
)
_NOT_STARTED: Final = ("org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1.")
"""What begins the errors of a service that D-Bus or systemd could not start."""
_NO_SERVICE: Final = "no Bluetooth service (BlueZ over D-Bus) answers on this machine"
_CALL_S: Final = 10.0


def is_service_gone(name: str) -> bool:
    """Return whether a D-Bus error says that nobody offers BlueZ's interface."""
    return name in _GONE or name.startswith(_NOT_STARTED)


class BluezCallError(RadioError):
    """BlueZ answered a call with an error.

    Attributes:
        name: of the D-Bus error, such as "org.bluez.Error.DoesNotExist".
    """

    def __init__(self, doing: str, name: str, said: str, *, service_gone: bool) -> None:
        super().__init__(f"{doing}: {_NO_SERVICE if service_gone else said or name}", service_gone=service_gone)
        self.name = name


class BluezBus:
    """One open connection."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: object,
        destination: str = BLUEZ,
    ) -> list[Any]:
        """Call a method of BlueZ, or of another service, and return what it answers, variants unpacked.

        Raises:
            RadioError: no answer, or it refused (`BluezCallError`).
        """
        message = Message(
            destination=destination, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        return await self._ask(message)

    async def _ask(self, message: Message) -> list[Any]:
        try:
            async with asyncio.timeout(_CALL_S):
                reply = await self._bus.call(message)
        except TimeoutError as error:
            raise RadioError(f"{message.member}: no answer in {_CALL_S:g} s") from error
        except (DBusError, EOFError, OSError) as error:
            raise RadioError(f"{message.member}: {_NO_SERVICE}", service_gone=True) from error
        if reply.message_type is not MessageType.METHOD_RETURN:
            name = reply.error_name or ""
            said = str(reply.body[0]) if reply.body else ""
            raise BluezCallError(str(message.member), name, said, service_gone=is_service_gone(name))
        return list(unpack_variants(reply.body))

    async def devices(self) -> dict[str, dict[str, Any]]:
        """Return the properties of every device that BlueZ knows, by object path.

        Raises:
            RadioError: no answer.
        """
        (objects,) = await self.call("/", f"{_DBUS}.ObjectManager", "GetManagedObjects")
        return {path: interfaces[DEVICE] for path, interfaces in objects.items() if DEVICE in interfaces}

    def export(self, path: str, interface: ServiceInterface) -> None:
        """Let BlueZ call an object of ours."""
        self._bus.export(path, interface)

    def listen(self, on_message: Callable[[Message], None]) -> None:
        """Hand on what comes, signals that `match` asked for among it."""
        self._bus.add_message_handler(on_message)

    async def match(self, rule: str) -> None:
        """Ask the bus for the signals that match a rule.

        Raises:
            RadioError: no answer.
        """
        await self._ask(
            Message(
                destination=_DBUS,
                path="/org/freedesktop/DBus",
                interface=_DBUS,
                member="AddMatch",
                signature="s",
                body=[f"type='signal',{rule}"],
            )
        )

    async def closed(self) -> None:
        """Return when the connection is closed, whoever closed it."""
        with suppress(EOFError, OSError, DBusError):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def system_bus() -> AsyncIterator[BluezBus]:
    """Connect to the system's D-Bus; leaving the context closes the connection, and with it what was exported.

    Raises:
        RadioError: there is no D-Bus, or it lets us not in.
    """
    try:
        bus = MessageBus(bus_type=BusType.SYSTEM)
    except (OSError, ValueError) as error:
        raise RadioError(f"connecting to D-Bus: {_NO_SERVICE}", service_gone=True) from error
    try:
        async with asyncio.timeout(_CALL_S):
            await bus.connect()
    except (OSError, EOFError, AuthError, DBusError, TimeoutError) as error:
        bus.disconnect()
        raise RadioError(f"connecting to D-Bus: {_NO_SERVICE}", service_gone=True) from error
    try:
        yield BluezBus(bus)
    finally:
        bus.disconnect()

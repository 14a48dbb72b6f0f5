"""A device for the second adapter of a bus, given to BlueZ over D-Bus by a process of its own.

It is told what it is as one JSON argument: `{"adapter": "hci1", "name": ..., "services": {"1810": {"2A35":
{"flags": ["indicate"], "value": ""}}}}`. On its input it takes JSON lines: `{"push": "2A35", "value": hex}`,
`{"hang_up": true}`. On its output it says JSON lines: `ready`, `written`, `subscribed`, `read`.
"""

import asyncio
import json
import sys
from typing import Annotated, Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusBytes, DBusDict, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

APPLICATION = "/device"
READ = PropertyAccess.READ


def uuid(number: str) -> str:
    return f"0000{number.lower()}-0000-1000-8000-00805f9b34fb"


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


class Service(ServiceInterface):
    def __init__(self, number: str) -> None:
        super().__init__("org.bluez.GattService1")
        self.number = number

    @dbus_property(access=READ, name="UUID")
    def get_uuid(self) -> DBusStr:
        return uuid(self.number)

    @dbus_property(access=READ, name="Primary")
    def get_primary(self) -> DBusBool:
        return True


class Characteristic(ServiceInterface):
    def __init__(self, service: str, number: str, flags: list[str], value: bytes) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self.service, self.number, self.flags, self.value = service, number, flags, value
        self.notifying = False

    @dbus_property(access=READ, name="UUID")
    def get_uuid(self) -> DBusStr:
        return uuid(self.number)

    @dbus_property(access=READ, name="Service")
    def get_service(self) -> DBusObjectPath:
        return self.service

    @dbus_property(access=READ, name="Flags")
    def get_flags(self) -> Annotated[list[str], DBusSignature("as")]:
        return self.flags

    @dbus_property(access=READ, name="Value")
    def get_value(self) -> DBusBytes:
        return self.value

    @dbus_property(access=READ, name="Notifying")
    def get_notifying(self) -> DBusBool:
        return self.notifying

    @dbus_method(name="ReadValue")
    def read_value(self, options: DBusDict) -> DBusBytes:
        say(event="read", characteristic=self.number)
        return self.value

    @dbus_method(name="WriteValue")
    def write_value(self, value: DBusBytes, options: DBusDict) -> None:
        self.value = bytes(value)
        say(event="written", characteristic=self.number, value=self.value.hex())

    @dbus_method(name="StartNotify")
    def start_notify(self) -> None:
        self.notify(True)
        say(event="subscribed", characteristic=self.number)

    @dbus_method(name="StopNotify")
    def stop_notify(self) -> None:
        self.notify(False)

    @dbus_method(name="Confirm")
    def confirm(self) -> None:
        say(event="confirmed", characteristic=self.number)

    def notify(self, on: bool) -> None:  # noqa: FBT001 one switch
        self.notifying = on
        self.emit_properties_changed({"Notifying": on})

    def push(self, value: bytes) -> None:
        self.value = value
        self.emit_properties_changed({"Value": value})


class Advertisement(ServiceInterface):
    def __init__(self, name: str, services: list[str]) -> None:
        super().__init__("org.bluez.LEAdvertisement1")
        self.label, self.services = name, services

    @dbus_method(name="Release")
    def release(self) -> None:
        say(event="released")

    @dbus_property(access=READ, name="Type")
    def get_type(self) -> DBusStr:
        return "peripheral"

    @dbus_property(access=READ, name="LocalName")
    def get_local_name(self) -> DBusStr:
        return self.label

    @dbus_property(access=READ, name="ServiceUUIDs")
    def get_service_uuids(self) -> Annotated[list[str], DBusSignature("as")]:
        return [uuid(number) for number in self.services]

    @dbus_property(access=READ, name="Discoverable")
    def get_discoverable(self) -> DBusBool:
        return True


async def call(bus: MessageBus, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
    message = Message(
        destination="org.bluez", path=path, interface=interface, member=member, signature=signature, body=list(body)
    )
    reply = await bus.call(message)
    if reply.message_type is not MessageType.METHOD_RETURN:
        sys.exit(f"{member}: {reply.error_name} {reply.body}")


async def hang_up(bus: MessageBus, adapter: str) -> None:
    """Close every link of the adapter, from the device's side."""
    message = Message(
        destination="org.bluez", path="/", interface="org.freedesktop.DBus.ObjectManager", member="GetManagedObjects"
    )
    (objects,) = (await bus.call(message)).body
    for path, interfaces in objects.items():
        connected = "org.bluez.Device1" in interfaces and interfaces["org.bluez.Device1"]["Connected"].value
        # Both ends are on this bus: the box's view of the device is the one with services.
        if connected and not path.startswith(f"/org/bluez/{adapter}/"):
            await call(bus, path, "org.bluez.Device1", "Disconnect", "")


async def main() -> None:
    wanted = json.loads(sys.argv[1])
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    characteristics: dict[str, Characteristic] = {}
    for number, (service, contents) in enumerate(wanted["services"].items()):
        path = f"{APPLICATION}/service{number}"
        bus.export(path, Service(service))
        for place, (name, item) in enumerate(contents.items()):
            made = Characteristic(path, name, item["flags"], bytes.fromhex(item.get("value", "")))
            bus.export(f"{path}/char{place}", made)
            characteristics[name] = made
    bus.export("/advertisement", Advertisement(wanted["name"], wanted["advertised"]))
    adapter = f"/org/bluez/{wanted['adapter']}"
    empty: dict[str, Variant] = {}
    await call(bus, adapter, "org.bluez.GattManager1", "RegisterApplication", "oa{sv}", APPLICATION, empty)
    await call(
        bus, adapter, "org.bluez.LEAdvertisingManager1", "RegisterAdvertisement", "oa{sv}", "/advertisement", empty
    )
    say(event="ready")
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        if "push" in command:
            characteristics[command["push"]].push(bytes.fromhex(command["value"]))
        if command.get("hang_up"):
            await hang_up(bus, wanted["adapter"])


if __name__ == "__main__":
    asyncio.run(main())

"""The air between virtual radios: a Bumble link and its controllers, made for one box among many devices.

Differences from Bumble's own, each for a reason:

- advertising goes only to those who may listen (the boxes), not from every device to every other one;
- a packet is not formatted for a debug log that nobody reads;
- a packet to somebody who has gone is lost in silence, as on air, instead of an exception in the sender;
- a box can give up a connection attempt, and a device that is not listening any more makes the attempt fail with
  0x3E (Connection Failed to be Established) instead of leaving a link with one end.

Error codes: Bluetooth Core Specification 5.4, volume 1, part F.
"""

import asyncio
from collections.abc import Callable

from bumble import hci, ll
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

from simulators.faults import Ailment, Cure


class Air(LocalLink):
    """Where virtual controllers hear each other."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._listeners: set[Controller] = set()

    @property
    def boxes(self) -> tuple["BoxController", ...]:
        """The controllers of the boxes that are here."""
        return tuple(listener for listener in self._listeners if isinstance(listener, BoxController))

    def add_listener(self, controller: Controller) -> None:
        """Let a controller hear advertisements."""
        self._listeners.add(controller)

    def remove_controller(self, controller: Controller) -> None:
        """Take a controller off the air."""
        super().remove_controller(controller)
        self._listeners.discard(controller)

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Carry an advertisement to the listeners, and a connection request to the device it names."""
        loop = asyncio.get_running_loop()
        if isinstance(packet, ll.ConnectInd):
            advertiser = self.find_le_controller(packet.advertiser_address)
            if advertiser is not None:
                loop.call_soon(advertiser.on_ll_advertising_pdu, packet)
            return
        for controller in self._listeners:
            if controller is not sender_controller:
                loop.call_soon(controller.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a link-layer packet, or lose it when its receiver is gone."""
        receiver = self.find_le_controller(receiver_address)
        if receiver is not None:
            asyncio.get_running_loop().call_soon(receiver.on_ll_control_pdu, sender_address, packet)


class QuietController(Controller):
    """A virtual controller that formats no packet for a log and forgets packets of a link that has just gone."""

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Take a packet from the host."""
        if isinstance(packet, hci.HCI_Command):
            self.on_hci_command_packet(packet)
        elif isinstance(packet, hci.HCI_AclDataPacket):
            connection = self.find_le_connection_by_handle(packet.connection_handle)
            if connection is not None:
                connection.on_hci_acl_data_packet(packet)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Give a packet to the host, in the order of sending."""
        if self.host is not None:
            asyncio.get_running_loop().call_soon(self.host.on_packet, bytes(packet))

    def on_ll_control_pdu(self, sender_address: hci.Address, packet: ll.ControlPdu) -> None:
        """Take a link-layer packet from the air."""
        if sender_address in self.le_connections:
            super().on_ll_control_pdu(sender_address, packet)

    def _le_long_term_key_request_response(
        self, connection_handle: int, long_term_key: bytes | None
    ) -> hci.HCI_StatusAndConnectionHandleReturnParameters:
        if self.find_le_connection_by_handle(connection_handle) is None:
            # The key of a link that went meanwhile: Bumble's host takes a refusal here for an unforeseen fault.
            return hci.HCI_StatusAndConnectionHandleReturnParameters(
                status=hci.HCI_ErrorCode.SUCCESS, connection_handle=connection_handle
            )
        return super()._le_long_term_key_request_response(connection_handle, long_term_key)

    def on_link_acl_data(self, sender_address: hci.Address, transport: PhysicalTransport, data: bytes) -> None:
        """Take data from the air."""
        if sender_address in self.le_connections:
            super().on_link_acl_data(sender_address, transport, data)


class DeviceController(QuietController):
    """The controller inside a virtual device.

    Attributes:
        refusing: True while it advertises but lets no connection come about.
        only: the one box that may connect; None: any may.
    """

    def __init__(self, name: str, air: Air) -> None:
        super().__init__(name, link=air)
        self.refusing = False
        self.only: hci.Address | None = None

    def drop(self, reason: hci.HCI_ErrorCode) -> None:
        """End every link this instant; what the box sends on it from now on reaches nobody."""
        for connection in tuple(self.le_connections.values()):
            self.link.send_ll_control_pdu(connection.self_address, connection.peer_address, ll.TerminateInd(reason))
            self.on_le_disconnected(connection, reason)

    def on_le_connect_ind(self, packet: ll.ConnectInd) -> None:
        """Accept a box that wants to connect, or let it find that nobody answers."""
        if not self.refusing and self.only in {None, packet.initiator_address}:
            super().on_le_connect_ind(packet)
        if packet.initiator_address not in self.le_connections:
            failed = ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR)
            self.link.send_ll_control_pdu(packet.advertiser_address, packet.initiator_address, failed)


class BoxController(QuietController):
    """The controller that a box drives over HCI; it may fall ill.

    Attributes:
        on_unplugged: called when it is to be gone for its host too; None: nobody can unplug it.
    """

    def __init__(self, name: str, air: Air) -> None:
        super().__init__(name, link=air)
        self.on_unplugged: Callable[[], None] | None = None
        self._ailment: Ailment | None = None
        self._cure = Cure.RESET
        air.add_listener(self)

    def fall_ill(self, ailment: Ailment, cure: Cure) -> None:
        """Lose every link, and be of no use until cured."""
        if ailment is Ailment.GONE:
            if self.on_unplugged is not None:
                self.on_unplugged()
            return
        self._ailment, self._cure = ailment, cure
        lost = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
        for connection in tuple(self.le_connections.values()):
            self.link.send_ll_control_pdu(connection.self_address, connection.peer_address, ll.TerminateInd(lost))
            if ailment is Ailment.DEAF:
                self.on_le_disconnected(connection, lost)
        self.le_connections.clear()

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Take a packet from the host, or leave it unanswered."""
        if isinstance(packet, hci.HCI_Reset_Command) and self._cure is Cure.RESET:
            self._ailment = None
            self.le_connections.clear()
            self.pending_le_connection = None
        if self._ailment is not Ailment.SILENT:
            super().on_hci_packet(packet)

    def on_ll_advertising_pdu(self, packet: ll.AdvertisingPdu) -> None:
        """Hear an advertisement, or not."""
        if self._ailment is None:
            super().on_ll_advertising_pdu(packet)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Give up a connection attempt (Core Specification 5.4, volume 4, part E, 7.8.13)."""
        pending = self.pending_le_connection
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.pending_le_connection = None
        given_up = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        # The command completes before the event that it causes.
        asyncio.get_running_loop().call_soon(self.send_hci_packet, given_up)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def vanish(self) -> None:
        """Leave the air as a box does that lost its power: every device notices that its link has timed out."""
        lost = ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        for connection in self.le_connections.values():
            self.link.send_ll_control_pdu(connection.self_address, connection.peer_address, lost)
        self.le_connections.clear()
        self.pending_le_connection = None
        self.host = None
        self.link.remove_controller(self)

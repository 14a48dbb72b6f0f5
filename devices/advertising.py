"""Advertising data in values: the bytes that a device broadcasts, as a capture shows them.

The system's Bluetooth service does this for the box; this page serves whoever looks at a capture. Structures of kinds
that no driver looks at are left out.

Source: Bluetooth Core Specification 5.4, volume 3, part C, section 11; Supplement to the Core Specification 11, part A;
Assigned Numbers, section 2.3 (common data types).
"""

from dataclasses import dataclass, field
from typing import Final

from devices.errors import FrameError
from devices.gatt import uint_bytes
from devices.radio import Advertisement

_INCOMPLETE_SERVICES: Final = 0x02
_COMPLETE_SERVICES: Final = 0x03
_SHORT_NAME: Final = 0x08
_COMPLETE_NAME: Final = 0x09
_SERVICE_DATA: Final = 0x16
_MANUFACTURER_DATA: Final = 0xFF

_LONGEST: Final = 1650
"""Bytes: extended advertising carries no more (Core Specification 5.4, volume 6, part B, section 2.3.4.9)."""


@dataclass(slots=True)
class _Said:
    name: str | None = None
    services: set[int] = field(default_factory=set)
    service_data: dict[int, bytes] = field(default_factory=dict)
    manufacturer_data: dict[int, bytes] = field(default_factory=dict)

    def take(self, kind: int, value: bytes) -> None:
        number = int.from_bytes(value[:2], "little")
        if kind in {_INCOMPLETE_SERVICES, _COMPLETE_SERVICES}:
            if len(value) % 2:
                raise _error("a list of 16-bit services has an odd number of bytes", value)
            self.services |= {int.from_bytes(value[at : at + 2], "little") for at in range(0, len(value), 2)}
        elif kind in {_SHORT_NAME, _COMPLETE_NAME}:
            self.name = value.decode("utf-8", "replace")
        elif kind in {_SERVICE_DATA, _MANUFACTURER_DATA}:
            if len(value) < 2:
                raise _error("data without the number that says whose it is", value)
            payloads = self.service_data if kind == _SERVICE_DATA else self.manufacturer_data
            payloads[number] = value[2:]


def advertisement_from_bytes(payload: bytes, *, address: str = "", rssi: int = -127) -> Advertisement:
    """Read advertising data: structures of a length, a kind and a value each; a length of 0 ends them early.

    Args:
        payload: advertising data, or a scan response's, or both in a row.
        address: of the device.
        rssi: dBm.

    Raises:
        FrameError: too long, or a structure is cut short.
    """
    if len(payload) > _LONGEST:
        raise _error(f"longer than {_LONGEST} bytes", payload[:_LONGEST])
    said = _Said()
    at = 0
    while at < len(payload) and payload[at]:
        end = at + 1 + payload[at]
        if end > len(payload):
            raise _error(f"truncated: a structure of {payload[at]} bytes, {len(payload) - at - 1} are left", payload)
        said.take(payload[at + 1], payload[at + 2 : end])
        at = end
    return Advertisement(
        address=address,
        name=said.name,
        services=frozenset(said.services),
        service_data=said.service_data,
        manufacturer_data=said.manufacturer_data,
        rssi=rssi,
    )


def advertisement_bytes(advertisement: Advertisement) -> bytes:
    """Return what `advertisement_from_bytes` reads.

    Raises:
        OverflowError: a value is too long for its structure.
    """
    payload = b""
    if advertisement.services:
        numbers = b"".join(uint_bytes(number, 2) for number in sorted(advertisement.services))
        payload += _structure(_COMPLETE_SERVICES, numbers)
    if advertisement.name is not None:
        payload += _structure(_COMPLETE_NAME, advertisement.name.encode())
    for number, data in advertisement.service_data.items():
        payload += _structure(_SERVICE_DATA, uint_bytes(number, 2) + data)
    for number, data in advertisement.manufacturer_data.items():
        payload += _structure(_MANUFACTURER_DATA, uint_bytes(number, 2) + data)
    return payload


def _structure(kind: int, value: bytes) -> bytes:
    return uint_bytes(1 + len(value), 1) + bytes((kind,)) + value


def _error(reason: str, frame: bytes) -> FrameError:
    return FrameError("advertisement", reason, frame)

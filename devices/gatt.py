"""What every GATT service shares: assigned numbers, reading bytes within their bounds, and the E2E-CRC.

`FrameReader` is the only way that drivers take bytes: each read is checked first, and what is missing is a
`FrameError` that names the characteristic, never an IndexError.

Sources: Bluetooth Assigned Numbers (section 3, GATT services and characteristics); GATT Specification Supplement.
"""

from typing import Final

from devices.errors import FrameError
from devices.medfloat import MedFloat, decode_float, decode_sfloat, encode_float, encode_sfloat

CURRENT_TIME_SERVICE: Final = 0x1805
GLUCOSE_SERVICE: Final = 0x1808
HEALTH_THERMOMETER_SERVICE: Final = 0x1809
DEVICE_INFORMATION_SERVICE: Final = 0x180A
HEART_RATE_SERVICE: Final = 0x180D
BATTERY_SERVICE: Final = 0x180F
BLOOD_PRESSURE_SERVICE: Final = 0x1810
BODY_COMPOSITION_SERVICE: Final = 0x181B
USER_DATA_SERVICE: Final = 0x181C
WEIGHT_SCALE_SERVICE: Final = 0x181D
CGM_SERVICE: Final = 0x181F
PULSE_OXIMETER_SERVICE: Final = 0x1822

DATE_TIME: Final = 0x2A08
GLUCOSE_MEASUREMENT: Final = 0x2A18
BATTERY_LEVEL: Final = 0x2A19
TEMPERATURE_MEASUREMENT: Final = 0x2A1C
TEMPERATURE_TYPE: Final = 0x2A1D
INTERMEDIATE_TEMPERATURE: Final = 0x2A1E
MEASUREMENT_INTERVAL: Final = 0x2A21
MODEL_NUMBER: Final = 0x2A24
SERIAL_NUMBER: Final = 0x2A25
FIRMWARE_REVISION: Final = 0x2A26
MANUFACTURER_NAME: Final = 0x2A29
CURRENT_TIME: Final = 0x2A2B
GLUCOSE_MEASUREMENT_CONTEXT: Final = 0x2A34
BLOOD_PRESSURE_MEASUREMENT: Final = 0x2A35
INTERMEDIATE_CUFF_PRESSURE: Final = 0x2A36
HEART_RATE_MEASUREMENT: Final = 0x2A37
BODY_SENSOR_LOCATION: Final = 0x2A38
BLOOD_PRESSURE_FEATURE: Final = 0x2A49
GLUCOSE_FEATURE: Final = 0x2A51
RECORD_ACCESS_CONTROL_POINT: Final = 0x2A52
PLX_SPOT_CHECK_MEASUREMENT: Final = 0x2A5E
PLX_CONTINUOUS_MEASUREMENT: Final = 0x2A5F
PLX_FEATURES: Final = 0x2A60
BODY_COMPOSITION_FEATURE: Final = 0x2A9B
BODY_COMPOSITION_MEASUREMENT: Final = 0x2A9C
WEIGHT_MEASUREMENT: Final = 0x2A9D
WEIGHT_SCALE_FEATURE: Final = 0x2A9E
USER_CONTROL_POINT: Final = 0x2A9F
CGM_MEASUREMENT: Final = 0x2AA7
CGM_FEATURE: Final = 0x2AA8
CGM_STATUS: Final = 0x2AA9
CGM_SESSION_START_TIME: Final = 0x2AAA
CGM_SESSION_RUN_TIME: Final = 0x2AAB
CGM_SPECIFIC_OPS_CONTROL_POINT: Final = 0x2AAC


def characteristic_name(characteristic: int) -> str:
    """Return a 16-bit assigned number as four upper-case hexadecimal digits, such as "2A35"."""
    return f"{characteristic:04X}"


class FrameReader:
    """Takes little-endian fields from the bytes of one characteristic, from first to last."""

    def __init__(self, characteristic: int, frame: bytes) -> None:
        self._characteristic = characteristic
        self._frame = bytes(frame)
        self._position = 0

    @property
    def left(self) -> int:
        """How many bytes have not been taken."""
        return len(self._frame) - self._position

    def take(self, count: int, field: str) -> bytes:
        """Return the next `count` bytes.

        Raises:
            FrameError: fewer are left.
        """
        if count > self.left:
            raise self.error(f"truncated: {field} needs {count} bytes, {self.left} are left")
        start = self._position
        self._position += count
        return self._frame[start : self._position]

    def uint(self, count: int, field: str) -> int:
        """Return the next `count` bytes as an unsigned integer.

        Raises:
            FrameError: fewer are left.
        """
        return int.from_bytes(self.take(count, field), "little")

    def sint(self, count: int, field: str) -> int:
        """Return the next `count` bytes as a signed integer.

        Raises:
            FrameError: fewer are left.
        """
        return int.from_bytes(self.take(count, field), "little", signed=True)

    def sfloat(self, field: str) -> MedFloat:
        """Return the next two bytes as an IEEE 11073 SFLOAT.

        Raises:
            FrameError: fewer are left.
        """
        return decode_sfloat(self.uint(2, field))

    def medfloat32(self, field: str) -> MedFloat:
        """Return the next four bytes as an IEEE 11073 FLOAT.

        Raises:
            FrameError: fewer are left.
        """
        return decode_float(self.uint(4, field))

    def rest(self) -> bytes:
        """Return all bytes that are left, perhaps none."""
        return self.take(self.left, "the rest")

    def rest_before_crc(self) -> bytes:
        """Return what is left before the E2E-CRC that ends the frame.

        Raises:
            FrameError: there is no room for the CRC, or it is wrong.
        """
        rest = self.rest()
        if len(rest) < 2:
            raise self.error("the E2E-CRC is missing")
        if int.from_bytes(rest[-2:], "little") != e2e_crc(self._frame[:-2]):
            raise self.error("wrong E2E-CRC")
        return rest[:-2]

    def error(self, reason: str) -> FrameError:
        """Return the error that says why these bytes are refused."""
        return FrameError(characteristic_name(self._characteristic), reason, self._frame)


def uint_bytes(value: int, count: int) -> bytes:
    """Return an unsigned integer as `count` little-endian bytes.

    Raises:
        OverflowError: it does not fit.
    """
    return value.to_bytes(count, "little")


def sfloat_bytes(value: MedFloat) -> bytes:
    """Return an SFLOAT as two little-endian bytes.

    Raises:
        OverflowError: the value is beyond the largest SFLOAT.
    """
    return encode_sfloat(value).to_bytes(2, "little")


def medfloat32_bytes(value: MedFloat) -> bytes:
    """Return a FLOAT as four little-endian bytes.

    Raises:
        OverflowError: the value is beyond the largest FLOAT.
    """
    return encode_float(value).to_bytes(4, "little")


def e2e_crc(payload: bytes) -> int:
    """Return the E2E-CRC of the bytes that precede it; it is sent least significant octet first.

    The CRC-CCITT polynomial D16+D12+D5+1 from seed 0xFFFF, each octet's least significant bit first, without a
    final inversion (known elsewhere as CRC-16/MCRF4XX). Source: Continuous Glucose Monitoring Service 1.0.2,
    section 3.11, whose sample 3E 01 02 03 04 05 06 07 08 09 is followed by 01 2F.
    """
    crc = 0xFFFF
    for octet in payload:
        crc ^= octet
        for _ in range(8):
            # 0x8408 is 0x1021 with its bits in the order in which they are sent.
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def with_e2e_crc(payload: bytes) -> bytes:
    """Return the bytes followed by their E2E-CRC."""
    return payload + e2e_crc(payload).to_bytes(2, "little")

"""What can go wrong between a sensor and a Reading.

Three fates, by what the caller must do: a `RadioError` is transient (back off and try again), a `FrameError`
is rejected input (record, count, tell), a `DriverError` says that this device cannot be read by this driver.
"""


class DeviceError(Exception):
    """Base of every error of this package."""


class FrameError(DeviceError):
    """Bytes from a device that do not say what their specification allows; never turned into a value.

    Attributes:
        characteristic: the 16-bit assigned number as four upper-case hexadecimal digits, such as "2A35".
        reason: one clause in plain English, without the bytes.
        frame: the bytes as received.
    """

    def __init__(self, characteristic: str, reason: str, frame: bytes) -> None:
        super().__init__(f"{characteristic}: {reason}")
        self.characteristic = characteristic
        self.reason = reason
        self.frame = frame


class UnitError(DeviceError):
    """A unit that the quantity does not have; refused, never guessed."""


class RadioError(DeviceError):
    """The radio, the link or the bond failed; worth trying again after a pause.

    Attributes:
        device: the device's address, or None when the adapter itself failed.
        bond_lost: True when the device no longer knows our key and must be paired again.
        service_gone: True when the system's Bluetooth service does not answer, whatever its adapter does.
    """

    def __init__(
        self, reason: str, *, device: str | None = None, bond_lost: bool = False, service_gone: bool = False
    ) -> None:
        super().__init__(reason)
        self.device = device
        self.bond_lost = bond_lost
        self.service_gone = service_gone


class DriverError(DeviceError):
    """The device does not offer what its driver needs; trying again will not help."""

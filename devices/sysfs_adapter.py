"""What can be done about an adapter past BlueZ, through the kernel's sysfs (`devices.recovery.AdapterControl`).

A USB adapter is switched off and on at its port (`authorized`). One on a UART, as the Raspberry Pi's own, has no port:
its driver is unbound and bound again. Which of the two it is, is where `/sys/class/bluetooth/hci0/device` leads; that
is remembered, because a dead adapter disappears from there.

Writing there needs the right to (root, or a udev rule); without it the step is refused, and says so.

Sources: the Linux kernel's documentation, "Authorizing (or not) your USB devices to connect to the system" and
`Documentation/ABI/testing/sysfs-bus-usb`; `drivers/base/bus.c` (bind, unbind).
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devices.recovery import Step, StepError

_SERIAL_BUS: Final = "serial"
"""The bus of devices on a UART that have a driver of their own (serdev)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _UsbDevice:
    """A device that its port can drop and take up again."""

    authorized: Path
    step: Step = Step.USB_RESET

    def reset(self, off: float) -> None:
        """Drop it and take it up again.

        Raises:
            OSError: refused, or it is not there.
        """
        try:
            self.authorized.write_text("0", encoding="ascii")
            time.sleep(off)
        finally:
            # In any case: a device that is left dropped is worse than a deaf one.
            self.authorized.write_text("1", encoding="ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class _SerialDevice:
    """A device on a UART and its driver."""

    name: str
    driver: Path
    step: Step = Step.DRIVER_REBIND

    def reset(self, off: float) -> None:
        """Unbind the driver, unless it is not bound any more, and bind it again.

        Raises:
            OSError: refused, or it is not there.
        """
        if (self.driver / self.name).exists():
            (self.driver / "unbind").write_text(self.name, encoding="ascii")
            time.sleep(off)
        (self.driver / "bind").write_text(self.name, encoding="ascii")


class SysfsAdapter:
    """One adapter as the kernel sees it."""

    def __init__(self, adapter: str = "hci0", *, sysfs: Path = Path("/sys"), off: float = 1.0) -> None:
        """Take an adapter.

        Args:
            adapter: such as "hci0".
            sysfs: where sysfs is mounted.
            off: how long it stays off, in seconds.
        """
        self._link = sysfs / "class" / "bluetooth" / adapter / "device"
        self._off = off
        self._known: _UsbDevice | _SerialDevice | None = None

    async def steps(self) -> tuple[Step, ...]:
        """Return what is possible here: one step, or none when the adapter is neither on USB nor on a UART."""
        self._known = await asyncio.to_thread(self._look) or self._known
        return () if self._known is None else (self._known.step,)

    async def take(self, step: Step) -> None:
        """Take the step.

        It is carried out to its end even when whoever asked does not wait for it: nothing is left half done.

        Raises:
            StepError: it could not be taken.
        """
        if self._known is None or step is not self._known.step:
            raise StepError("not possible for this adapter")
        try:
            await asyncio.to_thread(self._known.reset, self._off)
        except PermissionError as error:
            raise StepError("not permitted to this program") from error
        except FileNotFoundError as error:
            raise StepError("the device is not there any more") from error
        except OSError as error:
            raise StepError((error.strerror or type(error).__name__).lower()) from error

    def _look(self) -> _UsbDevice | _SerialDevice | None:
        """Return what the adapter is; None when it is not there, or neither."""
        try:
            device = self._link.resolve(strict=True)
            for place in (device, *device.parents):
                # The interface that the adapter is has a file `authorized` too; only the device has a vendor.
                if (place / "idVendor").exists() and (place / "authorized").exists():
                    return _UsbDevice(authorized=place / "authorized")
            if (device / "subsystem").resolve().name == _SERIAL_BUS:
                return _SerialDevice(name=device.name, driver=(device / "driver").resolve(strict=True))
        except OSError:
            return None
        return None

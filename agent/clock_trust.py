"""Whether something outside vouches for the system's clock: asked of Linux.

The kernel knows: whoever disciplines its clock (systemd-timesyncd, chrony with `rtcsync`, ntpd) clears STA_UNSYNC,
setting the clock by hand sets it, and it sets itself once no news has come for hours (adjtimex(2)). Where a sandbox
forbids that call even for reading, as the shipped unit does, somebody else is asked (`time_witness`); and where nobody
answers, the mark that systemd-timesyncd leaves at its first synchronisation has to do.

Not here: what the box makes of it (`box_clock`).
"""

import ctypes
import time
from pathlib import Path

_STA_UNSYNC = 0x0040
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class _Timeval(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("microseconds", ctypes.c_long))


class _Timex(ctypes.Structure):
    """`struct timex` of linux/timex.h up to `status`, which is read, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("rest", ctypes.c_byte * 256),
    )


class LinuxTime:
    """The machine's time, as `box_clock.TimeSource`."""

    def wall_ms(self) -> int:
        """Return the system's clock, ms UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return ms since the machine was started, suspended or not."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def boot(self) -> str:
        """Return the kernel's id of this boot: 32 hexadecimal digits."""
        return _BOOT_ID.read_text(encoding="ascii").strip().replace("-", "")

    def synchronised(self) -> bool:
        """Return whether the kernel, or systemd-timesyncd, says that the clock is right."""
        status = kernel_status()
        if status is None:
            return _TIMESYNCD.exists()
        return not status & _STA_UNSYNC


def kernel_status() -> int | None:
    """Return the status word of the kernel's clock; None where it may not be asked for."""
    timex = _Timex()  # modes 0: only look
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        return None
    return int(timex.status)

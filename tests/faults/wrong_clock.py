"""A machine whose clock can be wrong, under unmodified programs: what `wrong_clock.c` reads is written here.

One accelerated time is right for all; each machine shows it, or something else. A program that is started on a machine
sees its clock in everything: its own time, TLS certificates, the kernel's word on whether the clock is right, and
the id of the boot.
"""

import mmap
import secrets
import struct
from pathlib import Path
from uuid import UUID

from simulators.clock import AcceleratedClock
from tests.faults.disk import compiled, preloaded

SOURCE = Path(__file__).with_name("wrong_clock.c")
_MACHINE = struct.Struct("=qqqqqd")
_UP_MS = 90_000
"""How long a machine has been up at the beginning of its clock."""


class Machine:
    """One machine; its clock is right and vouched for until something else is said."""

    def __init__(self, folder: Path, name: str, *, clock: AcceleratedClock) -> None:
        """Compile the shim into the folder, unless it is there; the files of the machine have its name."""
        self._clock = clock
        self._file = folder / f"{name}.clock"
        self._boot = folder / f"{name}.boot"
        self._shim = folder / "wrong_clock.so"
        if not self._shim.exists():
            self._shim = compiled(folder, SOURCE)
        self._booted_ms = clock.start_ms - _UP_MS
        self._wrong_ms = 0
        self._vouched = True
        self._file.write_bytes(bytes(_MACHINE.size))
        self._name_boot()
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What a program is started with to run on this machine."""
        return preloaded(self._shim) | {"FAULTS_CLOCK": str(self._file), "FAULTS_BOOT": str(self._boot)}

    def leap(self, wrong_ms: int, *, vouched: bool = False) -> None:
        """Let the clock show so much too much from now on, and say whether somebody vouches for it."""
        self._wrong_ms, self._vouched = wrong_ms, vouched
        self._write()

    def boot(self) -> None:
        """Start the machine anew; its programs are to be started by whoever calls."""
        self._booted_ms = self._clock.now_ms()
        self._name_boot()
        self._write()

    def _name_boot(self) -> None:
        self._boot.write_text(f"{UUID(bytes=secrets.token_bytes(16))}\n", encoding="ascii")

    def _write(self) -> None:
        clock = self._clock
        start_ns, booted_ns, wrong_ns = (ms * 1_000_000 for ms in (clock.start_ms, self._booted_ms, self._wrong_ms))
        said = _MACHINE.pack(clock.origin_ns, start_ns, booted_ns, wrong_ns, int(self._vouched), clock.speed)
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), _MACHINE.size) as shown:
            shown[:] = said

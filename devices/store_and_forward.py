"""What drivers of sleepy devices share: a scale or a cuff that sends what it has not sent yet, and goes.

Such a device numbers nothing, is asked for nothing, dates by its own wall clock, and is told the time once what it
sent is safe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from devices.driver import ClockSetting, FrameContext, Resume, StoredRecords
from devices.radio import Advertisement
from devices.reading import Reading


@dataclass(frozen=True, slots=True)
class StoreAndForward:
    """A driver but for `decode`; see `devices.driver.Driver`.

    Attributes:
        VALUES: how the value of each characteristic in `reads` is read.
    """

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]]

    name: str
    service: int
    measurements: tuple[int, ...]
    stored_records: StoredRecords = StoredRecords.NONE
    always_on: bool = False
    described_by: tuple[int, ...] = ()
    clock_setting: ClockSetting = ClockSetting.CURRENT_TIME

    @property
    def reads(self) -> tuple[int, ...]:
        """Every characteristic in `VALUES`."""
        return tuple(self.VALUES)

    def value(self, characteristic: int, frame: bytes, context: FrameContext) -> object:
        """Return the value class of one of `reads`.

        Raises:
            FrameError: cut short.
        """
        return self.VALUES[characteristic](frame)

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the device advertises the service."""
        return self.service in advertisement.services

    def describe(self, values: Mapping[int, bytes], context: FrameContext) -> FrameContext:
        """Return the context as it is."""
        return context

    def first_writes(self, context: FrameContext) -> tuple[tuple[int, bytes], ...]:
        """Return nothing: the device dates by its own clock."""
        return ()

    def sequence(self, reading: Reading, context: FrameContext) -> int | None:
        """Return None: the device numbers nothing."""
        return None

    def resume_after(self, key: str) -> Resume:
        """Return nothing to resume from: the device sends what it has not sent yet."""
        return Resume()

    def awaits(self, characteristic: int, frame: bytes) -> int | None:
        """Return None: every frame says all there is."""
        return None

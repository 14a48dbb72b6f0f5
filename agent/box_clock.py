"""What time it is, for a box that may not know.

A Raspberry Pi has no clock that runs without power, and its system's clock is believed only when something outside
vouches for it (`clock_trust`). So the box's time runs on the monotonic clock, from a point that it can account for:

- At start: the later of the system's clock, the program's build and the last time that was kept. It may be behind by
  as long as the box was off, and is not *trusted*. Within one boot it goes on from where the process before left it.
- Whatever leaps the system's clock makes, the box's time does not follow, until the system's time is vouched for.
  Then it does, at once and in either direction, and what was said before can be put right: a `Correction` says for
  which stretch of this boot's monotonic time by how much.
- Where nothing on the machine vouches for it, the team may, by a receipt that was just signed (`receipt_time`): once in
  a boot, and what the machine says later counts for more.
- Once vouched for, it stays trusted until the next boot: a crystal is wrong by a minute a month, and weeks without a
  network are what this box is made for.

Pure but for its source, which a test hands over. Not here: keeping all this (`time_keeper`), and what a correction
changes (`clock_store`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

BUILD_MS: Final = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1000
"""No box of this version ran before: put forward at each release."""
STEP_MS: Final = 2_000
"""A difference from a time vouched for that is followed without a word: what a network's delays come to."""


class TimeSource(Protocol):
    """What the machine says about time."""

    def wall_ms(self) -> int:
        """Return the system's clock, ms UTC."""
        ...

    def monotonic_ms(self) -> int:
        """Return ms since the machine was started, suspended or not."""
        ...

    def boot(self) -> str:
        """Return what names this boot: 32 hexadecimal digits."""
        ...

    def synchronised(self) -> bool:
        """Return whether something outside vouches for the system's clock now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time through which the box's time ran from one point.

    Attributes:
        boot: of the machine.
        mono: monotonic ms at which it began.
        wall: ms UTC that the box's time showed then.
        trusted: whether it was vouched for.
    """

    boot: str
    mono: int
    wall: int
    trusted: bool

    def at(self, mono: int) -> int:
        """Return the box's time, ms UTC, at a monotonic time of the same boot."""
        return self.wall + mono - self.mono


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What the box's time lacked, found out later.

    Attributes:
        boot: of the machine.
        mono_from: monotonic ms from which on it was wrong, inclusive.
        mono_to: monotonic ms up to which it was wrong, exclusive.
        offset: ms to add to what the box's time showed.
    """

    boot: str
    mono_from: int
    mono_to: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """That the box's time was wrong, as it was found out.

    Attributes:
        correction: for which while, and by how much.
        before: the stretch that was wrong.
        after: the one that begins.
    """

    correction: Correction
    before: Stretch
    after: Stretch


class BoxClock:
    """A `devices.clock.Clock` that says how far it can be trusted."""

    def __init__(self, source: TimeSource, *, build_ms: int = BUILD_MS) -> None:
        """Begin with what the system's clock says, not before the build (`build_ms`, ms UTC)."""
        self.build_ms = build_ms
        self._source = source
        self._boot = source.boot()
        mono = source.monotonic_ms()
        wall, vouched = source.wall_ms(), source.synchronised()
        self._stretch = Stretch(
            boot=self._boot, mono=mono, wall=wall if vouched else max(wall, build_ms), trusted=vouched
        )
        self._good_mono = mono
        self.righted = 0
        """How often `look` or `told` found something to put right."""

    @property
    def trusted(self) -> bool:
        """Whether the time was vouched for in this boot."""
        return self._stretch.trusted

    @property
    def stretch(self) -> Stretch:
        """From where the box's time runs."""
        return self._stretch

    def monotonic_ms(self) -> int:
        """Return ms since the machine was started, suspended or not."""
        return self._source.monotonic_ms()

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01T00:00:00Z."""
        return self._stretch.at(self._source.monotonic_ms())

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds to wait until this clock shows `at_ms`; 0.0 when it already has."""
        return max(0.0, (at_ms - self.now_ms()) / 1000.0)

    def take_up(self, kept: Stretch | None, *, last_ms: int) -> None:
        """Take up what the box kept: its last stretch, and the last time (ms UTC) that it was sure to have reached.

        Of the same boot the stretch goes on, whoever the process is; a time that was vouched for meanwhile shows at
        the next `look`. Of an earlier boot, only that time has gone by since `last_ms` is known.
        """
        if kept is not None and kept.boot == self._boot:
            self._stretch = kept
        elif not self._stretch.trusted:
            now = self._source.monotonic_ms()
            wall = max(self._stretch.at(now), last_ms)
            self._stretch = Stretch(boot=self._boot, mono=now, wall=wall, trusted=False)
        self._good_mono = self._source.monotonic_ms()

    def told(self, at: int, *, within: int) -> Found | None:
        """Follow a time that the team vouched for, unless another was vouched for in this boot already.

        Args:
            at: ms UTC; now it is that, or up to `within` ms later.
            within: ms, 0 or more.

        Returns:
            What has to be put right; None when the time was trusted already, which counts for more.
        """
        before, mono = self._stretch, self._source.monotonic_ms()
        if before.trusted:
            return None
        shown = before.at(mono)
        # A time that may be right is left alone: what is between two looks at two clocks is no error of either.
        wall = shown if at <= shown <= at + within else at + within // 2
        self.righted += 1
        return self._follow(wall, mono)

    def _follow(self, wall: int, mono: int) -> Found:
        """Let the box's time be trusted, and `wall` (ms UTC) at this monotonic time, from now on."""
        before = self._stretch
        since = self._good_mono if before.trusted else before.mono
        self._good_mono = mono
        self._stretch = Stretch(boot=self._boot, mono=mono, wall=wall, trusted=True)
        offset = wall - before.at(mono)
        correction = Correction(boot=self._boot, mono_from=since, mono_to=mono, offset=offset)
        return Found(correction=correction, before=before, after=self._stretch)

    def look(self, vouched: bool | None = None) -> Found | None:  # noqa: FBT001 - who else was asked, if anybody
        """Follow the system's clock when it is vouched for; return what has to be put right, None when nothing.

        `vouched` is what somebody else than the machine itself says of it, None when nobody was there to ask.
        """
        if not (self._source.synchronised() if vouched is None else vouched):
            return None
        found = self._follow(self._source.wall_ms(), self._source.monotonic_ms())
        if found.before.trusted and abs(found.correction.offset) < STEP_MS:
            return None
        self.righted += 1
        return found

"""The recovery ladder: which step comes next when the Bluetooth adapter hears nothing or fails.

Rules of this room:

- The gentlest step first, one at a time, each once; then a long pause, then from the foot again, ever more rarely.
- Whatever shows that the adapter works ends the climb, whether a step cured it or not.
- Without the Bluetooth service nothing is known of the adapter, and only the service is started anew.
- Pure: the time is an argument, nothing is done here. `recovering_radio` climbs.

Sources: the order of steps and what they cure, as reported in Home Assistant core pull request 77043,
Bluetooth-Devices/bluetooth-auto-recovery pull request 89 (power cycle is not always enough), and Home Assistant OS
issue 4022 (an adapter on a UART, as the Raspberry Pi's own, cannot be reset over USB).
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from devices.errors import DeviceError


class Step(StrEnum):
    """What can be done about an adapter, the gentlest first."""

    RESCAN = "rescan"
    POWER_CYCLE = "power_cycle"
    USB_RESET = "usb_reset"
    DRIVER_REBIND = "driver_rebind"
    RESTART_BLUETOOTHD = "restart_bluetoothd"


_WORDS: Final = {
    Step.RESCAN: "scanning anew",
    Step.POWER_CYCLE: "switching the adapter off and on",
    Step.USB_RESET: "resetting its USB device",
    Step.DRIVER_REBIND: "binding its driver anew",
    Step.RESTART_BLUETOOTHD: "restarting the Bluetooth service",
}

_WORDS_FR: Final = {
    Step.RESCAN: "nouvelle écoute",
    Step.POWER_CYCLE: "adaptateur éteint et rallumé",
    Step.USB_RESET: "son périphérique USB réinitialisé",
    Step.DRIVER_REBIND: "son pilote rattaché",
    Step.RESTART_BLUETOOTHD: "service Bluetooth relancé",
}


class StepError(DeviceError):
    """A step that could not be taken; its text is one clause in plain English that says why."""


class AdapterControl(Protocol):
    """What has the means to take steps."""

    async def steps(self) -> tuple[Step, ...]:
        """Return what is possible here; never raises."""
        ...

    async def take(self, step: Step) -> None:
        """Take one of the possible steps.

        Raises:
            StepError: it could not be taken.
        """
        ...


class Controls:
    """Several controls as one (`AdapterControl`): each step is taken by the first that offers it."""

    def __init__(self, *controls: AdapterControl) -> None:
        self._controls = controls

    async def steps(self) -> tuple[Step, ...]:
        """Return what any of them can do."""
        offered = {step for control in self._controls for step in await control.steps()}
        return tuple(step for step in Step if step in offered)

    async def take(self, step: Step) -> None:
        """Take a step.

        Raises:
            StepError: it could not be taken, or nobody offers it any more.
        """
        for control in self._controls:
            if step in await control.steps():
                return await control.take(step)
        raise StepError("not possible here")


class Cause(StrEnum):
    """Why a step is due."""

    FAILING = "failing"
    """The adapter answers with errors."""
    SILENT = "silent"
    """The adapter hears nothing at all although a device is there."""
    GONE = "gone"
    """The system's Bluetooth service does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderPatience:
    """Every duration of a climb, in real seconds, and its other bounds."""

    failures: int = 3
    """Failures in a row before the first step."""
    failing: float = 10.0
    """How long they must go on: sessions that share a scan all fail with it, at once."""
    silence: float = 900.0
    """How long nothing at all may be heard while a device is there all the time."""
    deaf: float = 86_400.0
    """How long an adapter that answers may hear nothing at all before that is told: the patient may have gone out with
    the only device. That it is out of reach is told long before, by its own silence."""
    step: float = 45.0
    """Hard bound of one step."""
    links: float = 60.0
    """How long open links are waited for before a step that cuts them; and scans before any step."""
    settle: float = 5.0
    """What an adapter is given to come up again after a step."""
    proof: float = 30.0
    """How long is listened for any device at all."""
    between: float = 30.0
    """Pause between two steps, in which everybody uses the adapter as ever."""
    again: float = 900.0
    """Pause before the ladder is climbed anew; it doubles."""
    cap: float = 14_400.0
    """Largest such pause, jitter not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One step of this climb.

    Attributes:
        step: which.
        refusal: why it could not be taken, one clause; None when it was taken.
    """

    step: Step
    refusal: str | None = None

    def __str__(self) -> str:
        return _WORDS[self.step] if self.refusal is None else f"{_WORDS[self.step]} (not done: {self.refusal})"


def in_words(tried: Sequence[Tried]) -> str:
    """Return what was tried as one plain English clause; empty when nothing was."""
    return ", ".join(str(one) for one in tried)


def in_french(clause: str) -> str:
    """Return what `in_words` said, in French but for the reasons why a step could not be taken."""
    for step, words in _WORDS.items():
        clause = clause.replace(words, _WORDS_FR[step])
    return clause.replace("(not done: ", "(impossible : ")


class Ladder:
    """Decides from what happens to an adapter which step is due. Times are real seconds of any one clock.

    Attributes:
        cause: why a step is due; None: none is.
        tried: the steps of this climb, in order.
    """

    def __init__(self, patience: LadderPatience, now: float, rng: random.Random | None = None) -> None:
        """Start at the foot, as if the adapter had just worked."""
        self._patience = patience
        self._rng = rng or random.Random()  # noqa: S311 jitter keeps no secret
        self._heard_at = now
        self._failures = 0
        self._failing_since = now
        self._climbs = 0
        self.cause: Cause | None = None
        self.tried: tuple[Tried, ...] = ()

    # What happens

    def failed(self, now: float, *, gone: bool) -> None:
        """Count a failure of the adapter, or of the whole service."""
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        enough = self._failures >= self._patience.failures and now - self._failing_since >= self._patience.failing
        if self.cause is not None or enough:
            self.cause = Cause.GONE if gone else Cause.FAILING

    def heard(self, now: float) -> bool:
        """Note that a device was heard; return whether that ends a trouble about which something was done."""
        self._heard_at = now
        return self._ended()

    def scanned(self) -> bool:
        """Note a scan that went well without hearing the one device it was for; return as `heard` does.

        Whether the adapter hears anything at all is left open.
        """
        self._failures = 0
        return False if self.cause is Cause.SILENT else self._ended()

    def silent(self, now: float, *, expected: bool) -> bool:
        """Note a scan for anybody at all that went well and heard nothing; return as `heard` does.

        Args:
            now: when.
            expected: whether a device ought to have been heard.
        """
        self._failures = 0
        if not expected:
            self._heard_at = now
        elif self.silence_in(now) <= 0.0:
            self.cause = Cause.SILENT
            return False
        return self._ended()

    def silence_in(self, now: float) -> float:
        """Return in how many seconds the adapter has been silent for too long; 0.0 when it has."""
        return max(0.0, self._heard_at + self._patience.silence - now)

    def worth_telling(self, now: float) -> bool:
        """Return whether the trouble is surely the adapter's, or has gone on for so long that somebody must look."""
        return self.cause is not Cause.SILENT or now - self._heard_at >= self._patience.deaf

    # What is done about it

    def next(self, possible: Iterable[Step]) -> Step | None:
        """Return the step that is due; None when all that can be done was."""
        useful = {Step.RESTART_BLUETOOTHD} if self.cause is Cause.GONE else set(Step)
        due = useful & set(possible) - {one.step for one in self.tried}
        return next((step for step in Step if step in due), None)

    def took(self, step: Step, refusal: str | None) -> None:
        """Record a step; `refusal` says why it could not be taken."""
        self.tried = (*self.tried, Tried(step=step, refusal=refusal))

    def rest(self) -> float:
        """Go back to the foot, uncured; return the pause in seconds before the next climb.

        The pause doubles from climb to climb up to its bound; jitter adds up to as much again, so that boxes that
        share a fault do not act in step.
        """
        pause = min(self._patience.cap, self._patience.again * 2.0 ** min(self._climbs, 32))
        self._climbs += 1
        self.tried = ()
        return pause + self._rng.uniform(0.0, pause)

    def _ended(self) -> bool:
        acted = self.cause is not None and (self.tried != () or self._climbs > 0)
        self.cause, self.tried = None, ()
        self._failures = self._climbs = 0
        return acted

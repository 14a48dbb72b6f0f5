"""The box's time, with a machine by hand: it starts somewhere, doubts itself, and is put right in either direction."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.box_clock import BUILD_MS, STEP_MS, BoxClock, Correction, Stretch
from agent.clock_trust import LinuxTime, kernel_status
from devices.clock import SystemClock, may_set_others

HOUR = 3_600_000
YEAR = 365 * 24 * HOUR
BOOT, OTHER_BOOT = "b" * 32, "c" * 32
NOW = BUILD_MS + 40 * 24 * HOUR


@dataclass
class Machine:
    """A machine by hand; `passes` lets time go by."""

    wall: int = NOW
    mono: int = 10_000
    of_boot: str = BOOT
    vouched: bool = False

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_ms(self) -> int:
        return self.mono

    def boot(self) -> str:
        return self.of_boot

    def synchronised(self) -> bool:
        return self.vouched

    def passes(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms

    def is_told(self, wall: int) -> None:
        """Somebody sets the clock, and vouches for it."""
        self.wall, self.vouched = wall, True


def test_without_a_clock_the_box_starts_from_its_build_and_from_what_it_kept() -> None:
    machine = Machine(wall=0)
    clock = BoxClock(machine)
    assert clock.now_ms() == BUILD_MS
    clock.take_up(None, last_ms=NOW)
    assert clock.now_ms() == NOW
    assert not clock.trusted
    assert not may_set_others(clock)
    assert may_set_others(SystemClock())
    machine.passes(HOUR)
    assert clock.now_ms() == NOW + HOUR
    assert clock.look() is None


def test_a_clock_that_is_vouched_for_at_start_is_believed_also_when_it_is_earlier_than_what_was_kept() -> None:
    clock = BoxClock(Machine(vouched=True))
    clock.take_up(None, last_ms=NOW + YEAR)
    assert clock.now_ms() == NOW
    assert clock.trusted
    assert clock.look() is None


@pytest.mark.parametrize("wrong_by", [-30 * YEAR, -YEAR, -5 * HOUR, -1, 0, 1, 5 * HOUR, YEAR, 30 * YEAR])
def test_once_the_time_is_known_a_correction_says_from_when_to_when_and_by_how_much(wrong_by: int) -> None:
    machine = Machine(wall=0)
    clock = BoxClock(machine, build_ms=0)
    clock.take_up(None, last_ms=NOW + wrong_by)
    began = machine.mono
    machine.passes(HOUR)
    before = clock.now_ms()
    machine.is_told(NOW + HOUR)
    assert clock.now_ms() == before, "what the system's clock shows is not followed before it is looked at"
    found = clock.look()
    assert found is not None
    assert found.correction == Correction(boot=BOOT, mono_from=began, mono_to=machine.mono, offset=-wrong_by)
    assert (clock.now_ms(), clock.trusted) == (NOW + HOUR, True)
    assert clock.look() is None


def test_a_leap_of_the_systems_clock_that_nobody_vouches_for_moves_nothing() -> None:
    machine = Machine(vouched=True)
    clock = BoxClock(machine)
    clock.take_up(None, last_ms=0)
    for leap in (YEAR, -3 * YEAR, 5 * HOUR):
        machine.vouched = False  # the kernel says so itself when the clock is set by hand
        machine.wall += leap
        machine.passes(1000)
        assert clock.look() is None
    assert (clock.now_ms(), clock.trusted) == (NOW + 3000, True), "what was vouched for once stays so in this boot"


@pytest.mark.parametrize("leap", [-YEAR, -5 * HOUR, -STEP_MS, STEP_MS, 5 * HOUR, YEAR])
def test_a_leap_that_is_vouched_for_is_followed_and_told_from_when_the_time_was_last_right(leap: int) -> None:
    machine = Machine(vouched=True)
    clock = BoxClock(machine)
    clock.take_up(None, last_ms=0)
    machine.passes(HOUR)
    assert clock.look() is None
    right = machine.mono
    machine.passes(HOUR)
    machine.is_told(machine.wall + leap)
    found = clock.look()
    assert found is not None
    assert found.correction == Correction(boot=BOOT, mono_from=right, mono_to=machine.mono, offset=leap)
    assert clock.now_ms() == NOW + 2 * HOUR + leap


def test_a_small_difference_is_followed_without_a_word() -> None:
    machine = Machine(vouched=True)
    clock = BoxClock(machine)
    machine.wall += STEP_MS - 1
    assert clock.look() is None
    assert clock.now_ms() == NOW + STEP_MS - 1


def test_another_process_of_the_same_boot_goes_on_from_the_same_point() -> None:
    machine = Machine(wall=0)
    first = BoxClock(machine)
    first.take_up(None, last_ms=NOW)
    kept = first.stretch
    machine.passes(HOUR)
    machine.wall = 7  # whatever the system's clock says by now
    second = BoxClock(machine)
    second.take_up(kept, last_ms=NOW + 5)
    assert second.now_ms() == first.now_ms() == NOW + HOUR
    machine.passes(HOUR)
    machine.is_told(NOW + 50 * HOUR)
    found = second.look()
    assert found is not None
    assert (found.correction.mono_from, found.correction.offset) == (kept.mono, 48 * HOUR)


def test_the_stretch_of_another_boot_says_only_what_time_it_must_be_by_now() -> None:
    machine = Machine(wall=0, mono=3)
    clock = BoxClock(machine)
    clock.take_up(Stretch(boot=OTHER_BOOT, mono=9_000_000, wall=NOW, trusted=True), last_ms=NOW + HOUR)
    assert (clock.now_ms(), clock.trusted) == (NOW + HOUR, False)


@given(
    st.lists(
        st.tuples(st.sampled_from(["passes", "leaps", "told", "unvouched", "looks"]), st.integers(-(10**12), 10**12)),
        max_size=40,
    )
)
def test_whatever_happens_the_time_runs_as_the_monotonic_clock_does_but_where_a_look_moves_it(
    steps: list[tuple[str, int]],
) -> None:
    machine = Machine()
    clock = BoxClock(machine)
    clock.take_up(None, last_ms=0)
    for what, amount in steps:
        before, mono, trusted = clock.now_ms(), machine.mono, clock.trusted
        found = None
        match what:
            case "passes":
                machine.passes(abs(amount) % HOUR)
            case "leaps":
                machine.wall += amount
            case "told":
                machine.is_told(machine.wall + amount)
            case "unvouched":
                machine.vouched = False
            case _:
                found = clock.look()
        moved = clock.now_ms() - before - (machine.mono - mono)
        if what != "looks":
            assert moved == 0
        elif found is None:
            assert abs(moved) < STEP_MS
            assert clock.trusted is trusted
        else:
            assert found.correction.offset == moved
            assert clock.now_ms() == machine.wall
            assert clock.trusted


def test_linux_says_what_boot_this_is_and_whether_its_clock_is_right() -> None:
    machine = LinuxTime()
    assert machine.boot() == machine.boot()
    assert len(bytes.fromhex(machine.boot())) == 16
    first, second = machine.monotonic_ms(), machine.monotonic_ms()
    assert 0 < first <= second
    status = kernel_status()
    assert machine.synchronised() in {True, False}
    if status is not None:
        assert machine.synchronised() is not bool(status & 0x40)
    assert abs(machine.wall_ms() - SystemClock().now_ms()) < HOUR

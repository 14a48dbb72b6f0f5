import random
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.recovery import Cause, Controls, Ladder, LadderPatience, Step, StepError, Tried, in_french, in_words

PATIENCE = LadderPatience(failures=3, failing=10.0, silence=900.0, again=600.0, cap=3600.0)
ALL = tuple(Step)


def ladder(patience: LadderPatience = PATIENCE) -> Ladder:
    return Ladder(patience, 0.0, random.Random(1))


def failing(*, gone: bool = False) -> Ladder:
    made = ladder()
    for now in (0.0, 5.0, 10.0):
        made.failed(now, gone=gone)
    return made


def climbed(made: Ladder, possible: tuple[Step, ...] = ALL) -> list[Step]:
    taken = []
    while (step := made.next(possible)) is not None:
        taken.append(step)
        made.took(step, None)
    return taken


def test_a_step_is_due_after_failures_in_a_row_that_go_on() -> None:
    made = ladder()
    for now in (0.0, 0.1, 0.2, 9.9):
        made.failed(now, gone=False)
        assert made.cause is None
    made.failed(10.0, gone=False)
    assert made.cause is Cause.FAILING


def test_failures_between_which_it_worked_are_no_trouble() -> None:
    made = ladder()
    for now in range(0, 100, 6):
        made.failed(float(now), gone=False)
        made.failed(float(now + 1), gone=False)
        made.scanned() if now % 12 else made.heard(float(now))
    assert made.cause is None


def test_the_gentlest_step_comes_first_and_each_once() -> None:
    assert climbed(failing()) == [
        Step.RESCAN,
        Step.POWER_CYCLE,
        Step.USB_RESET,
        Step.DRIVER_REBIND,
        Step.RESTART_BLUETOOTHD,
    ]


def test_only_what_is_possible_here_is_tried() -> None:
    assert climbed(failing(), (Step.RESTART_BLUETOOTHD, Step.RESCAN)) == [Step.RESCAN, Step.RESTART_BLUETOOTHD]


def test_without_the_service_only_the_service_is_restarted() -> None:
    made = failing(gone=True)
    assert made.cause is Cause.GONE
    assert climbed(made) == [Step.RESTART_BLUETOOTHD]


def test_a_service_that_is_back_leaves_the_other_steps_to_an_adapter_that_still_fails() -> None:
    made = failing(gone=True)
    climbed(made)
    made.failed(60.0, gone=False)
    assert made.cause is Cause.FAILING
    assert climbed(made) == [Step.RESCAN, Step.POWER_CYCLE, Step.USB_RESET, Step.DRIVER_REBIND]


def test_silence_is_trouble_only_when_a_device_is_there() -> None:
    made = ladder()
    assert made.silence_in(100.0) == 800.0
    assert not made.silent(900.0, expected=False)
    assert (made.cause, made.silence_in(900.0)) == (None, 900.0)
    assert not made.silent(1800.0, expected=True)
    assert made.cause is Cause.SILENT
    assert made.silence_in(1800.0) == 0.0


def test_a_scan_that_hears_nobody_before_silence_is_due_is_no_trouble() -> None:
    made = ladder()
    assert not made.silent(899.0, expected=True)
    assert made.cause is None


def test_a_scan_for_one_device_says_nothing_of_a_silence() -> None:
    made = ladder()
    made.silent(900.0, expected=True)
    assert not made.scanned()
    assert made.cause is Cause.SILENT


def test_a_failing_adapter_that_scans_and_hears_nothing_for_long_is_a_silent_one() -> None:
    made = failing()
    made.silent(1000.0, expected=True)
    assert made.cause is Cause.SILENT


@pytest.mark.parametrize("by", ["heard", "scanned", "silent"])
def test_whatever_shows_that_it_works_ends_the_climb(by: str) -> None:
    made = failing()
    made.took(Step.RESCAN, None)
    worked: dict[str, Callable[[], bool]] = {
        "heard": partial(made.heard, 20.0),
        "scanned": made.scanned,
        "silent": partial(made.silent, 20.0, expected=True),
    }
    assert worked[by]()
    assert (made.cause, made.tried) == (None, ())
    assert not worked[by]()


def test_what_ends_by_itself_before_anything_was_done_is_not_spoken_of() -> None:
    assert not failing().heard(20.0)


def test_what_ends_in_the_long_pause_is_spoken_of() -> None:
    made = failing()
    climbed(made)
    made.rest()
    assert made.tried == ()
    assert made.heard(20.0)


def test_the_long_pause_doubles_up_to_its_bound_and_jitter_at_most_doubles_it() -> None:
    made = failing()
    for bound in (600.0, 1200.0, 2400.0, 3600.0, 3600.0):
        assert climbed(made) == list(ALL)
        assert bound <= made.rest() <= 2 * bound
    made.heard(0.0)
    assert made.rest() <= 1200.0


def test_pauses_differ_from_box_to_box() -> None:
    assert len({Ladder(PATIENCE, 0.0).rest() for _ in range(5)}) == 5


def test_what_was_tried_is_told_in_words() -> None:
    tried = (Tried(step=Step.RESCAN), Tried(step=Step.USB_RESET, refusal="not permitted to this program"))
    assert in_words(tried) == "scanning anew, resetting its USB device (not done: not permitted to this program)"
    assert in_words(()) == ""


@given(
    st.lists(
        st.sampled_from(["failed", "gone", "heard", "scanned", "silent", "unexpected", "step", "refused", "rest"]),
        max_size=60,
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_no_step_is_taken_twice_in_a_climb_nor_without_cause(events: list[str]) -> None:
    made = ladder()
    taken: list[Step] = []
    for number, event in enumerate(events):
        now = number * 120.0
        match event:
            case "failed" | "gone":
                made.failed(now, gone=event == "gone")
            case "heard":
                made.heard(now)
            case "scanned":
                made.scanned()
            case "silent" | "unexpected":
                made.silent(now, expected=event == "silent")
            case "step" | "refused":
                step = made.next(ALL) if made.cause is not None else None
                if step is not None:
                    made.took(step, "no" if event == "refused" else None)
                    taken.append(step)
            case _ if made.cause is not None and made.next(ALL) is None:
                assert 600.0 <= made.rest() <= 7200.0
        if made.tried == ():
            taken.clear()
        assert len(taken) == len(set(taken))
        assert [one.step for one in made.tried] == taken
        assert made.cause is not None or made.tried == ()


class Means:
    def __init__(self, *steps: Step) -> None:
        self.offered = steps
        self.taken: list[Step] = []

    async def steps(self) -> tuple[Step, ...]:
        return self.offered

    async def take(self, step: Step) -> None:
        self.taken.append(step)


async def test_several_controls_are_one() -> None:
    bluez, kernel = Means(Step.RESTART_BLUETOOTHD, Step.POWER_CYCLE), Means(Step.USB_RESET, Step.POWER_CYCLE)
    both = Controls(bluez, kernel)
    assert await both.steps() == (Step.POWER_CYCLE, Step.USB_RESET, Step.RESTART_BLUETOOTHD)
    for step in await both.steps():
        await both.take(step)
    assert (bluez.taken, kernel.taken) == ([Step.POWER_CYCLE, Step.RESTART_BLUETOOTHD], [Step.USB_RESET])
    with pytest.raises(StepError, match="not possible"):
        await both.take(Step.DRIVER_REBIND)


def test_what_was_tried_is_said_in_french_too() -> None:
    tried = [Tried(step=step) for step in Step] + [Tried(step=Step.USB_RESET, refusal="no permission")]
    said = in_french(in_words(tried))
    assert said.startswith("nouvelle écoute, adaptateur éteint et rallumé, ")
    assert said.endswith("son périphérique USB réinitialisé (impossible : no permission)")
    assert "ing " not in said

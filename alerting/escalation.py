"""Escalation: whom else to tell, and when, of an alert that is told and that nobody has seen.

Pure: who was told already is an argument. Rules of this room:

- A step is due `after` ms from when the alert was first told and could be known of. While the alert is held back no
  step is due; one whose time passed meanwhile is due when the alert is told again.
- A step is taken once. Once somebody has seen the alert, or once it ended, none is.
- While the value improves nobody is told again: a step to those who were told before is left out, for good once a
  later one was taken; a step to others, who know nothing yet, is taken.

What is not here: reaching anybody (the box), and the team's own escalation (the desk).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from alerting.alert import Audience
from alerting.care_protocol import Step
from alerting.life import Life, Turn, told_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An alert as far as escalating it is concerned; times in ms UTC.

    Attributes:
        audience: who was told of it first.
        life: when it is told and when not.
        since: steps are counted from here on at the earliest: what a box learns late it tells late.
        ended_at: None while it stands.
        seen_at: when somebody saw it, None when nobody has.
        improving: its value has moved towards its end since it was raised.
        taken: how many of the policy's steps were taken or left out for good.
    """

    audience: Audience
    life: Life
    since: int = 0
    ended_at: int | None = None
    seen_at: int | None = None
    improving: bool = False
    taken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DueStep:
    """A step to take.

    Attributes:
        number: its index in the policy; `taken` is one more once it was taken.
        at: ms UTC, when it is due.
        audience: whom to tell.
    """

    number: int
    at: int
    audience: Audience


def steps_to_come(standing: Standing, steps: Sequence[Step]) -> tuple[DueStep, ...]:
    """Return the steps that are due, or will be, if nothing else happens; in order.

    Args:
        standing: the alert.
        steps: of its priority (`TellingPolicy.steps`), in order of `after`.
    """
    first = told_at(standing.life)
    if first is None:
        return ()
    ends = [at for at in (standing.ended_at, standing.seen_at) if at is not None]
    found: list[DueStep] = []
    for number in range(standing.taken, len(steps)):
        step = steps[number]
        told = {standing.audience, *(one.audience for one in steps[:number])}
        at = _next_telling(standing.life, max(first, standing.since) + step.after)
        if at is None or any(at >= end for end in ends):
            break
        if not (standing.improving and step.audience in told):
            found.append(DueStep(number=number, at=at, audience=step.audience))
    return tuple(found)


def steps_due(standing: Standing, steps: Sequence[Step], *, now: int) -> tuple[DueStep, ...]:
    """Return the steps to take at `now` (ms UTC): those whose time has come, inclusive."""
    return tuple(step for step in steps_to_come(standing, steps) if step.at <= now)


def _next_telling(life: Life, at: int) -> int | None:
    """Return the first moment from `at` on at which an alert is told, None when it is not known."""
    turns: list[Turn | None] = [*life[1:], None]
    for turn, after in zip(life, turns, strict=True):
        if turn.reason is None and (after is None or after.at > at):
            return max(at, turn.at)
    return None

"""What was done about alerts, as the box knows it: set a rule aside, saw an alert, said what came of it, told others.

Acts are values with their time; doing one twice is doing it once, and the order in which they arrive does not matter.
An act changes what is told of an alert, never which alerts there are. What the team did reaches the box as a signed
disposition; without it the box goes on by itself.

What is not here: who may do what (the box and the desk check it), and what follows (life).
"""

from collections.abc import Iterable

from msgspec import Struct

from alerting.alert import Audience, Outcome, Priority
from alerting.care_protocol import Rule
from alerting.errors import ShelfError
from alerting.local_time import DAY_MINUTES, MINUTE_MS

LONGEST_SHELF_OF_HIGH = DAY_MINUTES * MINUTE_MS
"""A rule of high priority is set aside for a day at most, and only with a reason."""


class Shelf(Struct, array_like=True, frozen=True, order=True):
    """Alerts of a rule are set aside from `at` (inclusive) to `until` (exclusive), ms UTC.

    The next shelf of the same rule takes its place from its own `at` on; one whose `until` is its `at` only ends it.
    """

    rule: str
    at: int
    until: int
    by: str
    reason: str = ""


class Seen(Struct, array_like=True, frozen=True, order=True):
    """Somebody has seen an alert, at ms UTC; the first to do so counts."""

    alert_id: str
    at: int
    by: str


class Disposed(Struct, array_like=True, frozen=True, order=True):
    """Somebody said at ms UTC what came of an alert; the last word counts."""

    alert_id: str
    at: int
    by: str
    outcome: Outcome


class Escalated(Struct, array_like=True, frozen=True, order=True):
    """A step of the protocol's escalation was taken for an alert at ms UTC.

    Number BEGUN is no step: from that moment on they are counted.
    """

    alert_id: str
    number: int
    at: int
    audience: Audience


BEGUN = -1


class Acts:
    """The acts that an engine knows."""

    def __init__(
        self,
        shelves: Iterable[Shelf] = (),
        seen: Iterable[Seen] = (),
        disposed: Iterable[Disposed] = (),
        escalated: Iterable[Escalated] = (),
    ) -> None:
        self._shelves = set(shelves)
        self._seen = {one.alert_id: one for one in seen}
        self._disposed = {one.alert_id: one for one in disposed}
        self._escalated: dict[str, list[Escalated]] = {}
        for step in escalated:
            self._escalated.setdefault(step.alert_id, []).append(step)

    def shelve(self, shelf: Shelf) -> bool:
        """Remember a shelf; return whether it is news."""
        known = shelf in self._shelves
        self._shelves.add(shelf)
        return not known

    def see(self, seen: Seen) -> bool:
        """Remember who saw an alert; return whether it is news."""
        known = self._seen.get(seen.alert_id)
        if known is not None and known <= seen:
            return False
        self._seen[seen.alert_id] = seen
        return True

    def dispose(self, disposed: Disposed) -> bool:
        """Remember what came of an alert; return whether it is news."""
        known = self._disposed.get(disposed.alert_id)
        if known is not None and known >= disposed:
            return False
        self._disposed[disposed.alert_id] = disposed
        return True

    def escalate(self, step: Escalated) -> None:
        """Remember a step that was taken, or from when on they are counted; each number once."""
        known = self._escalated.setdefault(step.alert_id, [])
        if all(one.number != step.number for one in known):
            known.append(step)
            known.sort()

    def escalated_by(self, at: int) -> None:
        """Date no step later than `at` (ms UTC): steps that are counted from a time to come would not be due."""
        for taken in self._escalated.values():
            taken[:] = [Escalated(one.alert_id, one.number, min(one.at, at), one.audience) for one in taken]

    def begin_anew(self, alert_id: str) -> None:
        """Forget what was done about an alert that had ended, and is told anew."""
        for known in (self._seen, self._disposed, self._escalated):
            known.pop(alert_id, None)

    def carry(self, before: str, after: str) -> None:
        """Let an alert whose onset moved (id `after`) have what was done about it under its earlier id."""
        if before in self._seen:
            self.see(Seen(after, self._seen[before].at, self._seen[before].by))
        if before in self._disposed:
            word = self._disposed[before]
            self.dispose(Disposed(after, word.at, word.by, word.outcome))
        for step in self._escalated.get(before, ()):
            self.escalate(Escalated(after, step.number, step.at, step.audience))

    def seen(self, alert_id: str) -> Seen | None:
        """Return who saw an alert first, None when nobody did."""
        return self._seen.get(alert_id)

    def outcome(self, alert_id: str) -> Outcome | None:
        """Return what came of an alert, None when nobody said."""
        word = self._disposed.get(alert_id)
        return None if word is None else word.outcome

    def escalated(self, alert_id: str) -> list[Escalated]:
        """Return the steps that were taken for an alert, BEGUN among them, in order."""
        return list(self._escalated.get(alert_id, ()))

    @property
    def shelves(self) -> list[Shelf]:
        """Every shelf, in order of rule and time; of two at once the one that ends sooner comes last, and holds."""
        return sorted(self._shelves, key=lambda one: (one.rule, one.at, -one.until, one.by, one.reason))

    @property
    def all_seen(self) -> list[Seen]:
        """Every alert that somebody saw, in order of id."""
        return sorted(self._seen.values())

    @property
    def all_disposed(self) -> list[Disposed]:
        """Every last word on an alert, in order of id."""
        return sorted(self._disposed.values())

    @property
    def all_escalated(self) -> list[Escalated]:
        """Every step that was taken, in order of alert and number."""
        return sorted(step for steps in self._escalated.values() for step in steps)

    def forget(self, *, before: int, but: Iterable[str]) -> None:
        """Forget what was done and over before `before` (ms UTC, exclusive), but of the alerts `but`."""
        kept = set(but)
        shelves = self.shelves
        for number, one in enumerate(shelves, 1):
            later = shelves[number] if number < len(shelves) else None
            # One that was replaced goes before what replaced it: or it would hold again.
            over = later.at if later is not None and later.rule == one.rule else max(one.until, one.at)
            if over < before:
                self._shelves.discard(one)
        self._seen = {key: one for key, one in self._seen.items() if one.at >= before or key in kept}
        self._disposed = {key: one for key, one in self._disposed.items() if one.at >= before or key in kept}
        self._escalated = {
            key: taken for key, taken in self._escalated.items() if taken[-1].at >= before or key in kept
        }


def checked_shelf(shelf: Shelf, rule: Rule, longest: int) -> Shelf:
    """Return a shelf that may be.

    Args:
        shelf: what is asked for.
        rule: that it is for.
        longest: ms, by the protocol.

    Raises:
        ShelfError: nobody is named, it ends before it begins or lasts too long, or a high alert is set aside without
            a reason.
    """
    if rule.priority is Priority.HIGH:
        longest = min(longest, LONGEST_SHELF_OF_HIGH)
        if shelf.until > shelf.at and not shelf.reason.strip():
            raise ShelfError("a rule of high priority is set aside only with a reason: give one", longest)
    if not shelf.by.strip():
        raise ShelfError("nobody is named who sets the rule aside: name them", longest)
    if not shelf.at <= shelf.until <= shelf.at + longest:
        raise ShelfError(
            f"a rule is set aside until a time, at most {longest // 3_600_000} h ahead: choose an earlier one", longest
        )
    return shelf

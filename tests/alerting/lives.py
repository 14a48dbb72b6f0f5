"""Policies of telling for the tests of the alerts' life, and the lives that an engine found."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from alerting.acts import Shelf
from alerting.alert import AlertChange, ChangeKind, Priority
from alerting.care_protocol import CareProtocol, Rule, TellingPolicy
from alerting.engine import Engine
from alerting.life import Life
from alerting.rules import RuleLife
from devices.reading import Reading
from tests.alerting.worlds import DAY, HOUR, MINUTE, PATIENT, Box, World

PLAIN = TellingPolicy()


def plain(protocol: CareProtocol) -> CareProtocol:
    """Return a protocol that holds nothing back."""
    return replace(protocol, telling=PLAIN, rules=tuple(replace(rule, life=RuleLife()) for rule in protocol.rules))


@st.composite
def told_by(draw: st.DrawFn, world: World) -> World:
    """Return a world whose protocol holds alerts back in any way, none of them latched."""
    protocol = world.protocol
    ids = [rule.id for rule in protocol.rules]
    rules: list[Rule] = []
    for rule in protocol.rules:
        life = RuleLife(
            refractory=draw(st.sampled_from((0, 0, 10 * MINUTE, 3 * HOUR))),
            per_day=draw(st.sampled_from((0, 0, 1, 2))),
            absorbs=tuple(draw(st.lists(st.sampled_from(ids), max_size=2, unique=True))),
            digest=draw(st.sampled_from((False, False, False, True))),
        )
        rules.append(replace(rule, life=life, priority=draw(st.sampled_from(Priority))))
    at_most, within = draw(st.sampled_from(((0, 0), (1, 30 * MINUTE), (1, DAY), (3, 12 * HOUR))))
    telling = TellingPolicy(
        quiet=draw(st.sampled_from((None, (22 * 60, 7 * 60), (8 * 60, 9 * 60), (150, 170), (0, 1439)))),
        at_most=at_most,
        within=within,
        due={Priority.HIGH: HOUR},
        digest_at=draw(st.sampled_from((0, 8 * 60, 155))),
    )
    return replace(world, protocol=replace(protocol, rules=tuple(rules), telling=telling))


@st.composite
def shelves(draw: st.DrawFn, world: World) -> list[Shelf]:
    """Return up to three shelves, some of which end the one before."""
    found: list[Shelf] = []
    span = max(1, world.end - world.since)
    for number in range(draw(st.integers(0, 3))):
        at = world.since + draw(st.sampled_from((0, span // 3, span // 2, span)))
        until = at + draw(st.sampled_from((0, 1, HOUR, 20 * HOUR)))
        rule = draw(st.sampled_from(world.protocol.rules))
        found.append(Shelf(rule.id, at, until, f"nurse {number}", "known"))
    return found


def shelve(engine: Engine, shelf: Shelf) -> tuple[AlertChange, ...]:
    """Set a rule aside."""
    return engine.shelve(shelf.rule, shelf.until, shelf.by, shelf.at, shelf.reason)


def lives(engine: Engine) -> dict[tuple[str, int], Life]:
    """Return the life of each alert that is remembered, by rule and onset."""
    return {(engine.protocol.rules[told.rule].id, told.onset): told.life for told in engine.told}


def moments(changes: Sequence[AlertChange]) -> list[tuple[object, ...]]:
    """Return what happened to alerts, each once, in order."""
    return sorted((one.rule, one.onset, one.kind.value, one.told_at or 0, repr(one.suppressed)) for one in changes)


class LateBox(Box):
    """Hands over to `rejudge` what the engine says it needs, and no more; everything in one go as the box does."""

    def arrive(self, batch: Sequence[Reading]) -> None:
        new, late = [], False
        for one in batch:
            lateness = self.engine.lateness(one)
            if lateness.value == "not_judged":
                continue
            self.kept.setdefault((one.quantity, one.device, one.key), one)
            new.append(one)
            late = late or lateness.value == "late"
        if late:
            since = self.engine.history_needed(new)
            self.needed = since
            self.told += self.engine.rejudge([one for one in self.kept.values() if one.measured_at >= since])
        else:
            self.told += self.engine.feed(new)

    needed = 0


def whole(world: World, until: int, acts: Sequence[Shelf] = ()) -> tuple[Engine, list[AlertChange]]:
    """Judge a world in one go."""
    engine = Engine(world.protocol, patient=PATIENT, zone=world.zone, since=world.since)
    changes = [change for shelf in acts for change in shelve(engine, shelf)]
    return engine, [*changes, *engine.feed(world.readings), *engine.tick(until)]


KEPT = frozenset({ChangeKind.RAISED, ChangeKind.RESOLVED, ChangeKind.SUPPRESSED, ChangeKind.RELEASED})


def standing(changes: Sequence[AlertChange]) -> set[str]:
    """Return the ids of the alerts that stand by the last thing that was told of each."""
    found: dict[str, AlertChange] = {}
    for change in changes:
        found[change.alert_id] = change
        if change.supersedes is not None:
            found.pop(change.supersedes, None)
    return {one for one, last in found.items() if last.resolved_at is None and last.kind is not ChangeKind.RETRACTED}

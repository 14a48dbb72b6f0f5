"""What becomes of standing alerts when another protocol is applied."""

from dataclasses import replace

from alerting.alert import AlertChange, Audience, ChangeKind, Priority
from alerting.care_protocol import CareProtocol, TellingPolicy
from alerting.engine import Engine
from alerting.protocol_change import ENDED_BY_PROTOCOL, NO_LONGER_TRUE, applied
from alerting.rules import LevelRule, Side
from devices.reading import Reading
from tests.alerting.worlds import CGM, HOUR, MINUTE, PARIS, PATIENT, START, cgm, common, protocol_of

NOW = START + HOUR


def low(name: str, threshold: int) -> LevelRule:
    return LevelRule(
        **(common(CGM, name) | {"priority": Priority.MEDIUM}),
        side=Side.BELOW,
        threshold=threshold,
        end_threshold=threshold,
    )


def judged(protocol: CareProtocol, readings: list[Reading]) -> Engine:
    engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    engine.feed(readings)
    engine.tick(NOW)
    return engine


def protocol(*rules: LevelRule, telling: TellingPolicy | None = None) -> CareProtocol:
    return replace(protocol_of(*rules, timings={}), telling=telling or TellingPolicy())


def change(before: CareProtocol, after: CareProtocol, readings: list[Reading]) -> tuple[AlertChange, ...]:
    standing = judged(before, readings).open_alerts
    rules = {rule.id for rule in after.rules}
    return applied(standing, judged(after, readings).open_alerts, rules=rules, now=NOW)


TRACE = cgm([90, 80, 65])


def test_what_is_still_true_goes_on_without_a_word() -> None:
    assert change(protocol(low("low", 700)), protocol(low("low", 701)), TRACE) == ()


def test_what_goes_on_and_is_graver_or_for_others_than_it_was_is_said_anew() -> None:
    now = {"priority": Priority.HIGH, "audience": Audience.PATIENT_NOW}
    for name, value in now.items():
        (said,) = change(protocol(low("low", 700)), protocol(replace(low("low", 700), **{name: value})), TRACE)  # type: ignore[arg-type]
        assert (said.kind, said.late, getattr(said, name)) == (ChangeKind.CONFIRMED, False, value)


def test_what_is_newly_true_is_raised_now_and_told_from_now_on() -> None:
    telling = TellingPolicy(due={Priority.MEDIUM: HOUR})
    (raised,) = change(protocol(low("low", 500)), protocol(low("low", 700), telling=telling), TRACE)
    assert (raised.kind, raised.onset, raised.raised_at) == (ChangeKind.RAISED, START + 10 * MINUTE, NOW)
    assert (raised.told_at, raised.due_by, raised.late) == (NOW, NOW + HOUR, False)
    (undue,) = change(protocol(low("low", 500)), protocol(low("low", 700)), TRACE)
    assert (undue.told_at, undue.due_by) == (NOW, None)


def test_what_is_newly_true_and_held_back_says_so() -> None:
    quiet = TellingPolicy(quiet=(8 * 60, 10 * 60))
    (raised,) = change(protocol(low("low", 500)), protocol(low("low", 700), telling=quiet), TRACE)
    assert (raised.kind, raised.told_at) == (ChangeKind.RAISED, None)
    assert raised.suppressed is not None


def test_what_is_true_no_longer_is_resolved_and_says_why() -> None:
    (resolved,) = change(protocol(low("low", 700)), protocol(low("low", 600)), TRACE)
    assert (resolved.kind, resolved.resolved_at, resolved.why) == (ChangeKind.RESOLVED, NOW, NO_LONGER_TRUE)


def test_a_rule_that_is_gone_ends_its_alert_by_the_protocol() -> None:
    (ended,) = change(protocol(low("low", 700)), protocol(low("other", 500)), TRACE)
    assert (ended.kind, ended.rule, ended.why) == (ChangeKind.RESOLVED, "low", ENDED_BY_PROTOCOL)


def test_an_end_never_lies_before_what_it_ends() -> None:
    standing = judged(protocol(low("low", 700)), TRACE).open_alerts
    (ended,) = applied(standing, (), rules=(), now=START)
    assert ended.resolved_at == START + 10 * MINUTE


def test_a_rule_true_since_another_time_is_revised_and_carries_what_was_done_along() -> None:
    before = protocol(low("low", 700))
    (standing,) = judged(before, TRACE).open_alerts
    (revised,) = change(before, protocol(low("low", 850)), TRACE)
    assert (revised.kind, revised.supersedes) == (ChangeKind.REVISED, standing.alert_id)
    assert (revised.onset, revised.late) == (START + 5 * MINUTE, False)


def test_what_goes_on_and_is_told_otherwise_is_suppressed_or_released() -> None:
    loud, quiet = protocol(low("low", 700)), protocol(low("low", 700), telling=TellingPolicy(quiet=(480, 600)))
    (suppressed,) = change(loud, quiet, TRACE)
    assert suppressed.kind is ChangeKind.SUPPRESSED
    (released,) = change(quiet, loud, TRACE)
    assert (released.kind, released.suppressed) == (ChangeKind.RELEASED, None)


def test_of_several_rules_each_has_its_own_end() -> None:
    before = protocol(low("a", 700), low("b", 850), low("c", 900))
    changes = change(before, protocol(low("b", 700), low("d", 700)), TRACE)
    ended, going_on = [("resolved", "c"), ("resolved", "a")], [("revised", "b"), ("raised", "d")]
    assert [(one.kind.value, one.rule) for one in changes] == [*ended, *going_on]

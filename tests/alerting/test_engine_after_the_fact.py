"""What is told of a history that was judged silently, and what was done about an alert under another onset."""

import pytest

from alerting.alert import ChangeKind
from alerting.errors import UnknownAlertError
from tests.alerting.test_protocol_change import judged, low, protocol
from tests.alerting.worlds import MINUTE, START, cgm

TRACE = cgm([90, 65, 65, 65, 65, 90, 90, 90, 90])


def test_an_alert_that_ended_is_told_after_the_fact_with_its_end_and_stays_late() -> None:
    engine = judged(protocol(low("low", 700)), TRACE)
    (known,) = engine.told
    (again,) = judged(protocol(low("low", 700)), TRACE[:5]).open_alerts
    told = engine.tell_late(again.alert_id)
    assert (told.kind, told.late, told.onset) == (ChangeKind.ADDED, True, START + 5 * MINUTE)
    assert told.resolved_at == known.resolved_at is not None
    assert known.late
    assert known.added
    with pytest.raises(UnknownAlertError):
        engine.tell_late("0" * 32)


def test_what_was_done_under_an_earlier_onset_is_carried_on() -> None:
    before = judged(protocol(low("low", 700)), cgm([65, 65, 65, 65]))
    (raised,) = before.open_alerts
    before.acknowledge(raised.alert_id, "nurse", START + 20 * MINUTE)
    engine = judged(protocol(low("low", 700)), TRACE[:5])
    (moved,) = engine.open_alerts
    engine.inherit(before.snapshot())
    assert not engine.attended(moved.alert_id)
    engine.carry_on(moved.alert_id, raised.onset)
    assert engine.attended(moved.alert_id)
    (moved,) = engine.open_alerts
    assert moved.supersedes == raised.alert_id

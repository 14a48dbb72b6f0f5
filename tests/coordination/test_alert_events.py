from itertools import permutations

import pytest

from alerting.alert import ChangeKind
from coordination.alert_events import AlertEvent, latest, speaks_after
from coordination.view import View
from tests.coordination.kit import EPOCH, HOUR, OTHER_EPOCH, START, Team, hypo, rows


def _event(seq: int, kind: ChangeKind, *, epoch: str = EPOCH, created: int = START) -> AlertEvent:
    return AlertEvent(box=1, epoch=epoch, seq=seq, created=created, record=hypo(kind))


def test_within_an_epoch_the_sequence_decides_even_when_the_clock_was_set_back() -> None:
    raised = _event(5, ChangeKind.RAISED, created=START + HOUR)
    resolved = _event(9, ChangeKind.RESOLVED, created=START)
    assert latest([resolved, raised]) is resolved


def test_a_later_epoch_decides_whatever_its_sequence_and_name() -> None:
    # OTHER_EPOCH sorts after EPOCH as text; it is the older one here.
    before = [_event(900, ChangeKind.RAISED, epoch=OTHER_EPOCH), _event(901, ChangeKind.RESOLVED, epoch=OTHER_EPOCH)]
    after = [_event(0, ChangeKind.RAISED, created=START + HOUR)]
    for order in permutations([*before, *after]):
        assert latest(order) is after[0]


@pytest.mark.parametrize("first", [0, 1])
def test_a_resolved_may_come_before_its_raised(team: Team, first: int) -> None:
    database = team.open_database()
    envelopes = [team.opened(0, [hypo(ChangeKind.RAISED)]), team.opened(1, [hypo(ChangeKind.RESOLVED)])]
    team.store(database, envelopes[first])
    team.store(database, envelopes[1 - first])
    database.close()
    view = View(team.database)
    (alert,) = view.alerts()
    assert alert.resolved_at == START + HOUR
    assert list(view.alerts(standing=True)) == []
    view.close()


def test_a_revised_alert_hides_the_one_it_continues_in_either_order(team: Team) -> None:
    database = team.open_database()
    old = hypo(ChangeKind.RAISED)
    new = hypo(ChangeKind.REVISED, onset=START - HOUR, supersedes=old.alert_id)
    team.store(database, team.opened(1, [new]))
    team.store(database, team.opened(0, [old]))
    database.close()
    view = View(team.database)
    assert [alert.id for alert in view.alerts(standing=True)] == [new.alert_id]
    assert {alert.id: alert.superseded_by for alert in view.alerts()} == {
        old.alert_id: new.alert_id,
        new.alert_id: None,
    }
    view.close()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_goes_on_from_another_hides_it_also_once_it_has_ended_without_naming_it(
    team: Team, order: tuple[int, ...]
) -> None:
    database = team.open_database()
    old = hypo(ChangeKind.RAISED)
    new = hypo(ChangeKind.REVISED, onset=START - HOUR, supersedes=old.alert_id)
    # A box that judged the past anew knows its alert by the new onset only.
    envelopes = [
        team.opened(seq, [record])
        for seq, record in enumerate((old, new, hypo(ChangeKind.RESOLVED, onset=START - HOUR)))
    ]
    for number in order:
        team.store(database, envelopes[number])
    database.close()
    view = View(team.database)
    assert list(view.alerts(standing=True)) == []
    assert rows(team.database, "SELECT alert_id, repeats FROM problem") == [(new.alert_id, 0)]
    view.close()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_of_one_that_goes_on_as_another_and_back_again_the_one_said_last_stands(
    team: Team, order: tuple[int, ...]
) -> None:
    here, there = hypo(ChangeKind.RAISED), hypo(ChangeKind.RAISED, onset=START - HOUR)
    said = (
        here,
        hypo(ChangeKind.REVISED, onset=START - HOUR, supersedes=here.alert_id),
        hypo(ChangeKind.REVISED, supersedes=there.alert_id),
        hypo(ChangeKind.RELEASED, supersedes=there.alert_id),
    )
    database = team.open_database()
    for number in order:
        team.store(database, team.opened(number, [said[number]]))
    database.close()
    view = View(team.database)
    assert [alert.id for alert in view.alerts(standing=True)] == [here.alert_id]
    assert rows(team.database, "SELECT alert_id, repeats FROM problem") == [(here.alert_id, 0)]
    view.close()


def test_of_two_that_two_databases_say_go_on_as_each_other_one_stands() -> None:
    def event(seq: int, epoch: str, kind: ChangeKind, *, at: int = START, before: int | None = None) -> AlertEvent:
        other = None if before is None else hypo(kind, onset=before).alert_id
        record = hypo(kind, onset=at, supersedes=other)
        return AlertEvent(box=1, epoch=epoch, seq=seq, created=START + seq, record=record)

    there = START - HOUR
    here = [event(0, EPOCH, ChangeKind.RAISED), event(9, EPOCH, ChangeKind.REVISED, before=there)]
    gone = [event(5, OTHER_EPOCH, ChangeKind.REVISED, at=there, before=START)]
    says = [speaks_after(here[1], here, gone), speaks_after(gone[0], gone, here)]
    assert sorted(says) == [False, True]

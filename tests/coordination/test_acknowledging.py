"""A named person has seen an alert: kept once, carried along, ending nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerting.alert import Acknowledgement, AlertState, ChangeKind
from coordination.acknowledging import acknowledge
from coordination.cli import main
from coordination.errors import CoordinationError
from coordination.view import AlertView, View
from tests.coordination.kit import START, Team, hypo

MINUTE = 60_000
CLAIRE = Acknowledgement(by="Claire, IDEC", at=START + 5 * MINUTE)


def shown(team: Team) -> dict[str, AlertView]:
    view = View(team.database)
    try:
        return {alert.id: alert for alert in view.alerts()}
    finally:
        view.close()


def test_an_acknowledged_alert_still_stands_and_says_by_whom_and_when(team: Team) -> None:
    database = team.open_database()
    raised = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [raised]))
    assert shown(team)[raised.alert_id].state is AlertState.RAISED
    assert acknowledge(team.database, raised.alert_id[:8], CLAIRE) == (raised.alert_id, CLAIRE)
    alert = shown(team)[raised.alert_id]
    assert (alert.state, alert.acknowledgement, alert.standing) == (AlertState.ACKNOWLEDGED, CLAIRE, True)
    team.store(database, team.opened(1, [hypo(ChangeKind.RESOLVED)]))
    alert = shown(team)[raised.alert_id]
    assert (alert.state, alert.acknowledgement) == (AlertState.RESOLVED, CLAIRE)
    database.close()


def test_the_first_who_saw_it_stays_the_one_who_did(team: Team) -> None:
    database = team.open_database()
    raised = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [raised]))
    acknowledge(team.database, raised.alert_id, CLAIRE)
    later = Acknowledgement(by="Somebody else", at=START + 6 * MINUTE)
    assert acknowledge(team.database, raised.alert_id, later) == (raised.alert_id, CLAIRE)
    assert shown(team)[raised.alert_id].acknowledgement == CLAIRE
    database.close()


def test_a_moved_onset_carries_the_acknowledgement_along(team: Team) -> None:
    database = team.open_database()
    raised = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [raised]))
    acknowledge(team.database, raised.alert_id, CLAIRE)
    revised = hypo(ChangeKind.REVISED, onset=START - MINUTE, supersedes=raised.alert_id)
    team.store(database, team.opened(1, [revised]))
    assert shown(team)[revised.alert_id].acknowledgement == CLAIRE
    assert shown(team)[revised.alert_id].state is AlertState.ACKNOWLEDGED
    database.close()


def test_what_is_no_alert_or_several_is_refused_and_changes_nothing(team: Team) -> None:
    database = team.open_database()
    raised = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [raised]))
    for unclear in ("", raised.alert_id[:5], "0" * 8 if not raised.alert_id.startswith("0" * 8) else "f" * 8, "%" * 8):
        with pytest.raises(CoordinationError):
            acknowledge(team.database, unclear, CLAIRE)
    assert shown(team)[raised.alert_id].acknowledgement is None
    database.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(CoordinationError, match="does not exist"):
        acknowledge(tmp_path / "desk.db", "0" * 32, CLAIRE)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_who_and_the_lists_show_it(team: Team) -> None:
    database = team.open_database()
    raised = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [raised]))
    database.close()
    place = ["--database", str(team.database)]
    run = CliRunner().invoke
    table = run(main, ["alerts", *place])
    assert raised.alert_id[:8] in table.stdout
    done = run(main, ["acknowledge", raised.alert_id[:8].upper(), "--by", "Claire, IDEC", *place])
    assert done.exit_code == 0, done.output
    line = json.loads(run(main, ["alerts", "--json", *place]).stdout)
    assert line["state"] == "acknowledged"
    assert line["acknowledged"]["by"] == "Claire, IDEC"
    assert "Claire, IDEC" in run(main, ["alerts", *place]).stdout
    again = run(main, ["acknowledge", raised.alert_id, "--by", "Paul", *place])
    assert "seen by Claire, IDEC" in again.stdout
    assert "already" in again.stdout
    assert run(main, ["acknowledge", raised.alert_id, "--by", "\x1b[31mred", *place]).exit_code == 2
    unknown = run(main, ["acknowledge", "ffffffffffff", "--by", "Claire", *place])
    assert unknown.exit_code == 2
    assert "Traceback" not in unknown.output

"""A protocol from two people's PINs to a patient's box and back: real programs, a real broker, the shipped ACL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.broker import Broker
from tests.agent.command_kit import SMALL
from tests.coordination.kit import PATIENT, Team
from tests.coordination.order_kit import PINS, TeamAndBox, until
from tests.exchange.office import NURSE, PHYSICIAN

pytestmark = [pytest.mark.broker, pytest.mark.process]

BLOCKED = (
    "import agent.time_keeper as keeper; keeper.LOOK_S, keeper.QUESTION_S, keeper.LONGEST_QUESTION_S = 0.2, 1.0, 1.0;"
    "from agent.clock_trust import LinuxTime; LinuxTime.synchronised = lambda self: False;"
    "from agent.cli import main; main()"
)
"""`veilleur run` on a machine whose clock nobody vouches for, where the network lets no time through."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


def text(version: int, threshold: str) -> str:
    return (
        SMALL.read_text(encoding="utf-8")
        .replace("version = 1", f"version = {version}")
        .replace("70 mg/dL", f"{threshold} mg/dL")
    )


def test_a_protocol_reaches_a_box_that_was_away_and_its_hash_comes_back(
    tmp_path: Path, team: Team, broker: Broker
) -> None:
    world = TeamAndBox(tmp_path, team, broker)
    with world.running_inbox():
        # Sent while the box is off, as it may be for weeks.
        world.send(text(7, "66"), NURSE, PHYSICIAN)
        until(lambda: world.commands()[0]["state"] in {"queued", "sent"})
        with world.running_box() as process:
            until(lambda: world.commands()[0]["state"] == "applied")
            (applied,) = world.commands()
            answer = applied["answer"]
            assert isinstance(answer, dict)
            assert answer["protocol_hash"] == applied["protocol_hash"] == world.status()["protocol_hashes"][PATIENT]
            assert applied["signed_by"] == [NURSE, PHYSICIAN]
            assert "diabetes_cgm v7" in world.status()["protocols"][PATIENT]
            # The box's own check, whatever the desk let through.
            world.send(text(8, "60"), NURSE)
            until(lambda: world.commands()[0]["state"] == "refused")
            refused = world.commands()[0]["answer"]
            assert isinstance(refused, dict)
            assert (refused["reason"], refused["protocol_hash"]) == ("role", answer["protocol_hash"])
            shown = world.desk_command("commands", "--lang", "fr").output
            assert "REFUSÉE" in shown
            assert "rôle" in shown
            process.kill()
            process.wait()
        with world.running_box():
            assert "diabetes_cgm v7" in world.status()["protocols"][PATIENT]
            world.send(text(9, "61"), PHYSICIAN, NURSE)
            until(lambda: world.commands()[0]["state"] == "applied")
            assert "diabetes_cgm v9" in world.status()["protocols"][PATIENT]
            # The technical alert of the refusal has reached the team, and is over.
            until(lambda: "protocol_refused" in world.desk_command("alerts", "--json").output)
    for log in (world.box / "log", world.folder / "inbox.log", broker.log):
        said = log.read_text(encoding="utf-8")
        for secret in (*PINS.values(), PATIENT, "Traceback"):
            assert secret not in said, log


def test_where_ntp_is_blocked_people_are_obeyed_once_the_teams_receipt_has_said_the_time(
    tmp_path: Path, team: Team, broker: Broker
) -> None:
    world = TeamAndBox(tmp_path, team, broker)
    with world.running_box(BLOCKED):
        assert world.status()["clock_trusted"] is False, "nobody has vouched for it"
        with world.running_inbox():
            until(lambda: world.status()["clock_trusted"] is True)
            assert world.status()["clock_synchronised"] is False
            world.send(text(7, "66"), NURSE, PHYSICIAN)
            until(lambda: world.commands()[0]["state"] == "applied")
    assert "event=clock_right reason=a receipt" in (world.box / "log").read_text(encoding="utf-8")

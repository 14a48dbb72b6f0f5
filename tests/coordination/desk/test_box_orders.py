"""What is asked of a box from its page: queued for it, with who asked, and for whoever may."""

import msgspec
import pytest

from coordination.box_orders import order
from coordination.desk.access import Role
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.sql_commands import SqlCommands
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import ScanBody
from exchange.commands import CommandKind
from exchange.messages import Said
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_boxes import connected
from tests.coordination.kit import BOX, EPOCH, glucose, rows


def queued(desk: Desk) -> list[tuple[object, ...]]:
    return rows(desk.boxes.database, "SELECT kind, state FROM command ORDER BY issued_at, kind")


def test_a_nurse_asks_for_a_canary_and_reads_the_boxs_answer(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = desk.client(Role.NURSE, name="C. Martin")
    page = nurse.post(f"/boitiers/{BOX}/temoin", follow=True).content.decode()
    assert "Relevé témoin demandé" in page
    assert "en attente du boîtier" in page
    assert queued(desk) == [("canary", "queued")]
    acts = rows(desk.boxes.database, "SELECT body FROM audit WHERE act = 'command_sent'")
    assert msgspec.json.decode(str(acts[0][0]))["by"] == "C. Martin"
    (command,) = rows(desk.boxes.database, "SELECT id FROM command")[0]
    answer = Answer(
        box=BOX,
        command=str(command),
        state=AnswerState.REFUSED,
        at=now_ms(),
        reason="clock",
        said=(Said(fr="Pas d'heure ici.", en="No time here."),),
    )
    with connected(desk.boxes.database) as connection:
        SqlCommands(connection, lambda: pytest.fail("a transaction of its own")).keep_answer(answer, now=now_ms())
    page = nurse.get(f"/boitiers/{BOX}").content.decode()
    assert "REFUSÉE" in page
    assert "Pas d&#39;heure ici." in page


def test_what_is_missing_is_asked_for_again_by_name(desk: Desk) -> None:
    desk.receive(glucose(0))
    admin = desk.client(Role.ADMIN, name="A. Dmin")
    nothing = admin.post(f"/boitiers/{BOX}/renvoyer", follow=True).content.decode()
    assert "il ne manque rien" in nothing
    with connected(desk.boxes.database) as connection:
        connection.execute(
            "INSERT INTO box_status (box_id, state, epoch, session, next_seq, backlog, version, protocols, at,"
            " received_at) SELECT id, 'online', ?, ?, 40, 0, '1', '{}', 0, 0 FROM box WHERE name = ?",
            (EPOCH, EPOCH, BOX),
        )
    assert "39 relevés redemandés" in admin.post(f"/boitiers/{BOX}/renvoyer", follow=True).content.decode()
    assert queued(desk) == [("resend", "queued")]


def test_a_renewal_is_asked_for_by_nurse_or_administrator(desk: Desk) -> None:
    desk.receive(glucose(0))
    assert desk.client(Role.INSTALLER).post(f"/boitiers/{BOX}/renouveler").status_code == 403
    page = desk.client(Role.NURSE).post(f"/boitiers/{BOX}/renouveler", follow=True).content.decode()
    assert "Renouvellement demandé" in page
    assert queued(desk) == [("renew", "queued")]


@pytest.mark.parametrize("what", ["temoin", "renvoyer", "renouveler"])
def test_a_box_of_another_team_or_of_another_installer_is_asked_nothing(desk: Desk, what: str) -> None:
    desk.receive(glucose(0))
    assert desk.client(Role.NURSE, team=2).post(f"/boitiers/{BOX}/{what}").status_code == 404
    assert desk.client(Role.INSTALLER).post(f"/boitiers/{BOX}/{what}").status_code in {403, 404}
    assert queued(desk) == []


def test_what_the_box_wants_signed_by_a_person_is_not_queued_without(desk: Desk) -> None:
    desk.receive(glucose(0))
    with connected(desk.boxes.database) as connection, pytest.raises(CoordinationError, match="A person must sign"):
        order(connection, CommandKind.SCAN, ScanBody(), box=BOX, by="C. Martin", now=now_ms())
    assert queued(desk) == []

"""An open page hears of what changes in its team, and of nothing else."""

import asyncio
from contextlib import aclosing

from alerting.alert import ChangeKind
from coordination.desk.access import Role
from coordination.desk.views.events import Looking, marks
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import MINUTE, START, hypo


def test_a_mark_changes_with_each_alert_and_each_act_of_its_own_team(desk: Desk) -> None:
    before = marks([1, 2])
    alert = desk.alert()
    raised = marks([1, 2])
    desk.client(Role.NURSE).post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    taken = marks([1, 2])
    assert len({before[1], raised[1], taken[1]}) == 3
    assert before[2] == raised[2] == taken[2]


def test_an_open_page_hears_of_a_new_alert(desk: Desk) -> None:
    desk.alert()

    async def heard() -> tuple[str, str]:
        async with aclosing(Looking().changes(1)) as changes:
            first = await anext(changes)
            desk.receive(hypo(ChangeKind.RAISED, onset=START + 60 * MINUTE))
            return first, await anext(changes)

    assert len(set(asyncio.run(heard()))) == 2

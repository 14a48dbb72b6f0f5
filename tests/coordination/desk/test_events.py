"""An open page hears of what changes in its team, and of nothing else."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.test import Client

from alerting.alert import ChangeKind
from coordination.desk import changes
from coordination.desk.access import Role
from coordination.desk.changes import Looking, News, news_of
from coordination.desk.worklist import Asked, worklist
from simulators.broker import free_port
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import MINUTE, OTHER_PATIENT, START, hypo


def test_a_mark_changes_with_each_alert_and_each_act_of_its_own_team(desk: Desk) -> None:
    before = news_of([1, 2])
    alert = desk.alert()
    raised = news_of([1, 2])
    desk.client(Role.NURSE).post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    taken = news_of([1, 2])
    assert len({before[1].mark, raised[1].mark, taken[1].mark}) == 3
    assert before[2] == raised[2] == taken[2]


def test_a_page_begins_with_the_mark_that_it_was_made_with(desk: Desk) -> None:
    alert = desk.alert()
    user = desk.user(Role.NURSE)
    page = worklist(alert.team, Asked(user=user.pk), now=START)
    (news,) = news_of([1]).values()
    assert (page.mark, page.since) == (news.mark, news.stamp)


def test_what_comes_while_a_page_is_open_is_counted_as_new_and_what_was_there_is_not(desk: Desk) -> None:
    alert = desk.alert()
    before = news_of([1])[1].stamp
    desk.alert(patient=OTHER_PATIENT)
    desk.client(Role.NURSE).post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    assert news_of([1])[1].since(before) == 1


def test_what_goes_back_to_the_list_is_new_to_an_open_page(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": 0})
    before = news_of([1])[1]
    nurse.post(f"/alertes/{alert.pk}/rendre", {"vu": 1})
    assert (before.since(before.stamp), news_of([1])[1].since(before.stamp)) == (0, 1)


def test_an_open_page_hears_of_a_new_alert(desk: Desk) -> None:
    desk.alert()

    async def heard() -> tuple[News | None, News | None]:
        async with aclosing(Looking().changes(1)) as news:
            first = await anext(news)
            desk.receive(hypo(ChangeKind.RAISED, onset=START + 60 * MINUTE))
            return first, await anext(news)

    first, second = asyncio.run(heard())
    assert first is not None
    assert second is not None
    assert second.since(first.stamp) == 1


def test_one_thread_looks_for_many_pages_and_stops_with_the_last(desk: Desk) -> None:
    desk.alert()

    async def heard() -> list[threading.Thread]:
        looking = Looking()
        async with (
            aclosing(looking.changes(1)) as one,
            aclosing(looking.changes(1)) as two,
            aclosing(looking.changes(2)) as other,
        ):
            await asyncio.gather(anext(one), anext(two), anext(other))
            threads = [thread for thread in threading.enumerate() if thread.name.startswith("changes")]
        task = looking._task
        assert task is not None
        await task
        return threads

    (thread,) = asyncio.run(heard())
    thread.join(30)
    assert not thread.is_alive()


def test_when_the_database_goes_away_every_page_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.alert()

    class Gone:
        closed = False

        def wait(self) -> bool:
            raise changes.LOST[0]("away")

        def close(self) -> None:
            self.closed = True

    gone = Gone()
    monkeypatch.setattr(changes, "listen", lambda: gone)

    async def heard() -> list[News | None]:
        async with aclosing(Looking().changes(1)) as news:
            return [one async for one in news]

    assert len(asyncio.run(heard())) == 1
    assert gone.closed


@contextmanager
def served() -> Iterator[int]:
    """Serve the desk as it is served to browsers; yields its port."""
    port = free_port()
    config = uvicorn.Config(
        get_asgi_application(),
        host="127.0.0.1",
        port=port,
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    ready = threading.Event()
    begin = server.startup

    async def startup(*arguments: object, **named: object) -> None:
        await begin(*arguments, **named)  # type: ignore[arg-type]
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    try:
        assert ready.wait(30)
        yield port
    finally:
        server.should_exit = True
        thread.join(30)


def listening(port: int, client: Client, address: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", address, headers={"Cookie": f"veilleur={client.cookies['veilleur'].value}"})
    return connection, connection.getresponse()


def next_state(response: http.client.HTTPResponse) -> dict[str, object]:
    while not (line := response.readline()).startswith(b"data: "):
        assert line, "the line ended"
    found: dict[str, object] = json.loads(line.removeprefix(b"data: "))
    return found


def test_a_browser_hears_how_many_rows_are_new_to_the_page_that_it_has(desk: Desk) -> None:
    alert = desk.alert()
    user = desk.user(Role.NURSE)
    page = worklist(alert.team, Asked(user=user.pk), now=START)
    with served() as port:
        address = f"/evenements?depuis={page.since}&marque={page.mark}"
        connection, response = listening(port, desk.client(Role.NURSE), address)
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert next_state(response) == {"new": 0, "changed": False}
        desk.alert(patient=OTHER_PATIENT)
        assert next_state(response) == {"new": 1, "changed": True}
        connection.close()


def test_nobody_hears_of_another_team_and_whoever_is_not_signed_in_hears_nothing(desk: Desk) -> None:
    desk.alert()
    with served() as port:
        connection, response = listening(port, desk.client(Role.NURSE, team=2), "/evenements?depuis=0&marque=0")
        assert next_state(response) == {"new": 0, "changed": False}
        connection.close()
        nobody = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        nobody.request("GET", "/evenements")
        assert nobody.getresponse().status == 302
        nobody.close()

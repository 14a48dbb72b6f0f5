"""A box is taken out from its page: at a real mosquitto, which throws out the thief who is connected."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from coordination.box_identity import signing_key
from coordination.desk.access import Role
from exchange.identity import SigningKey
from exchange.link import Link
from simulators.broker import Broker
from tests.coordination.desk.kit import Desk, fresh, use
from tests.coordination.desk.test_boxes import connected
from tests.coordination.enrolment_kit import PATIENCE_S, NewBox, join
from tests.coordination.enrolment_kit import Desk as Team
from tests.coordination.kit import is_file, rows
from tests.coordination.test_revoking import files_of, link_settings

STOLEN = "box-0031"


@contextmanager
def thief(broker: Broker, box: NewBox) -> Iterator[threading.Event]:
    """Somebody who is connected with the box's certificate; the event is set once he is thrown out."""
    there, out, over = threading.Event(), threading.Event(), threading.Event()

    async def stay() -> None:
        async with Link(link_settings(broker, files_of(box), STOLEN)) as link:
            await link.wait_connected()
            there.set()
            while not over.is_set():
                if not link.connected:
                    out.set()
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(stay()))
    thread.start()
    try:
        assert there.wait(PATIENCE_S)
        yield out
    finally:
        over.set()
        thread.join()


@pytest.mark.broker
def test_a_stolen_box_is_out_at_the_inbox_and_at_the_broker(desk: Desk, tmp_path: Path) -> None:
    if not is_file(desk.boxes.database):
        pytest.skip("what the broker does has no engine")
    with Broker(tmp_path / "broker") as broker:
        team = Team(
            tmp_path / "team",
            broker_port=broker.port,
            reload=("kill", "-HUP", str(broker.pid)),
            acl=broker.log.parent / "acl",
            authority_folder=broker.certificates.authority.ca.parent,
        )
        path = team.settings(STOLEN).path
        use(fresh(desk.boxes.database, team.folder / "desk.db"))
        box = NewBox(tmp_path / "box")

        async def enrolled() -> None:
            async with team.open_office():
                await join(team, box, team.code(STOLEN))

        asyncio.run(enrolled())
        admin = desk.client(Role.ADMIN, name="O. Diallo")
        with override_settings(DESK=replace(settings.DESK, settings_file=path)), thief(broker, box) as out:
            page = admin.post(
                f"/boitiers/{STOLEN}/revoquer", {"numero": STOLEN, "raison": "volé"}, follow=True
            ).content.decode()
            assert "Le broker le refuse et l&#39;a déconnecté (vérifié" in page
            assert out.wait(PATIENCE_S)
    key = SigningKey.load(box.places.signing_key)
    with connected(team.folder / "desk.db") as connection:
        assert signing_key(connection, STOLEN, key.id, listed={}) is None
    (act,) = rows(team.folder / "desk.db", "SELECT body FROM audit WHERE act = 'revoked'")
    assert "O. Diallo" in str(act)

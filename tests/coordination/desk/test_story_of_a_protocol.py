"""A nurse's path: an alert, taken; the protocol adapted, tried, signed by two, applied by the box; the next one obeys.

Real programs: the box (`veilleur run`), the inbox, a broker with the shipped access rules, a sensor's telephone in the
home that the box asks over HTTP. The pages are asked as a browser would.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from coordination import signing_keys
from coordination.desk.access import Role
from coordination.desk.models import Alert, Membership, ProtocolDraft, Team, User
from coordination.desk.shared_database import acting
from coordination.handling import Handler
from devices.relay_address import RelayForm
from simulators.broker import Broker
from simulators.relay_server import RelayServer, SimulatedValue
from tests.coordination.desk.conftest import NOWHERE
from tests.coordination.desk.kit import Desk, use
from tests.coordination.desk.workshop_kit import just_shown, packaged, worked
from tests.coordination.kit import PATIENT, POSTGRESQL, ManualClock
from tests.coordination.kit import Team as Boxes
from tests.coordination.test_orders_over_a_broker import PINS, World, until
from tests.exchange.office import NURSE, PHYSICIAN

pytestmark = [
    pytest.mark.broker,
    pytest.mark.process,
    pytest.mark.skipif(POSTGRESQL in os.environ, reason="the programs of this story are told of a file"),
]

MINUTE = 60_000
ADDRESS = f"/patients/{PATIENT}/protocole"


INSTALLED_EARLIER = (
    "from agent.clock_trust import LinuxTime; LinuxTime.synchronised = lambda self: True;"
    "right = LinuxTime.wall_ms; LinuxTime.wall_ms = lambda self: right(self) - 6 * 3_600_000;"
    "LinuxTime.boot = lambda self: 'ab' * 16;"
    "from agent.cli import main; main()"
)
"""`veilleur run` six hours ago, before the machine was switched off: what was measured since is the box's to judge."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


def dip(now: int, minutes_ago: int, mg_dl: float) -> list[SimulatedValue]:
    """Forty minutes at a value, an hour of normal ones around it; the last is `minutes_ago` minus 20 minutes old."""
    begin = now - minutes_ago * MINUTE
    return [
        SimulatedValue(at=begin + 5 * MINUTE * step, sgv=mg_dl if 4 <= step < 12 else 110.0, noise=1)
        for step in range(17)
    ]


def over_a_relay(world: World, url: str) -> None:
    """Let the box read one relay only, which is the patient's."""
    text = (world.box / "agent.toml").read_text(encoding="utf-8")
    text = re.sub(r"(?s)\n\[\[devices\]\].*", "\n", text)
    relay = f'\n[[relays]]\nname = "phone"\nurl = "{url}"\npatient = "{PATIENT}"\nfrom = 2025-11-01T00:00:00Z\n'
    (world.box / "agent.toml").write_text(text + relay, encoding="utf-8")


class Pages:
    """The desk's pages over the database that the programs write."""

    def __init__(self, world: World, boxes: Boxes, clock: ManualClock) -> None:
        use(boxes.database)
        call_command("migrate", verbosity=0, interactive=False)
        self.desk = Desk(boxes, clock)
        self.clients = {}
        for name, role in ((NURSE, Role.NURSE), (PHYSICIAN, Role.PHYSICIAN)):
            user = User.objects.create_user(f"{role}@example.org", name)
            Membership.objects.create(user=user, team=Team.objects.get(), role=role.value)
            with acting() as database:
                wrapped = (world.folder / f"{name}.key").read_bytes()
                signing_keys.keep_key(database, wrapped, by=Handler(name=name, row=user.pk), at=clock.now)
            client = self.desk.client()
            client.force_login(user)
            just_shown(client)
            self.clients[name] = client

    def post(self, name: str, what: str, **values: str) -> str:
        """Press a button of the workshop as somebody; return the page that follows."""
        draft = ProtocolDraft.objects.filter(state__in=("draft", "to_sign", "signed")).first()
        seen = {} if draft is None else {"vu": str(draft.revision)}
        answer = self.clients[name].post(f"{ADDRESS}/{what}", {**seen, **values}, follow=True)
        return str(answer.content.decode())

    def shown(self, name: str = NURSE) -> str:
        return str(self.clients[name].get(ADDRESS).content.decode())


def hypos() -> list[Alert]:
    return list(Alert.objects.filter(rule_id="hypo_level_1").order_by("onset"))


def test_an_alert_leads_to_a_protocol_that_the_next_one_obeys(tmp_path: Path, team: Boxes, broker: Broker) -> None:
    now = time.time_ns() // 1_000_000
    # The pages' own clock stands a little ahead, so that nothing is of the future.
    clock: ManualClock = settings.DESK.clock
    clock.now = now + 5 * MINUTE
    world = World(tmp_path, team, broker)
    with RelayServer(form=RelayForm.NIGHTSCOUT) as phone:
        over_a_relay(world, phone.url)
        try:
            with world.running_box(INSTALLED_EARLIER):
                pass
            phone.values += dip(now, 300, 68.0)
            with world.running_inbox():
                with world.running_box():
                    until(lambda: "hypo_level_1" in world.desk_command("alerts", "--json").output)
                    pages = Pages(world, team, clock)
                    (first,) = hypos()
                    known = packaged("diabetes_cgm")
                    assert first.protocol_hash == known.protocol_hash
                    nurse = pages.clients[NURSE]
                    nurse.post(f"/alertes/{first.pk}/prendre", {"vu": first.handled})
                    first.refresh_from_db()
                    assert first.holder == NURSE
                    pages.post(NURSE, "commencer", pack="diabetes_cgm")
                    pages.post(NURSE, "modifier", **{"v.hypo_level_1.threshold": "66"}, rejouer="1", jours="28")
                    assert worked(pages.desk).state == "done"
                    assert "plus dite" in pages.shown() or "seulement aujourd&#39;hui" in pages.shown()
                    pages.post(NURSE, "proposer")
                    pages.post(NURSE, "signer", code=PINS[NURSE])
                    assert "Signé par vous" in pages.post(PHYSICIAN, "contresigner", code=PINS[PHYSICIAN])
                    assert "En file" in pages.post(NURSE, "envoyer")
                    until(lambda: "Appliqué le" in pages.shown())
                    draft = ProtocolDraft.objects.get()
                    page = pages.shown()
                    assert f"{draft.protocol_hash[:12]}</span> (la même)" in page
                    assert world.status()["protocol_hashes"][PATIENT] == draft.protocol_hash
                # The same fall again, and a deeper one: the first is none any more, the second is one.
                phone.values += dip(now, 200, 68.0) + dip(now, 100, 64.0)
                with world.running_box():
                    until(lambda: len(hypos()) > 1)
                (_, next_one) = hypos()
                assert next_one.protocol_version == known.version + 1
                assert next_one.protocol_hash == draft.protocol_hash
                assert next_one.onset > now - 100 * MINUTE
        finally:
            use(NOWHERE)
    for log in (world.box / "log", world.folder / "inbox.log"):
        said = log.read_text(encoding="utf-8")
        for secret in (*PINS.values(), PATIENT, "Traceback"):
            assert secret not in said, log

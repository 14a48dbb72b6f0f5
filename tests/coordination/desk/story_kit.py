"""What the stories of a box and its desk stand on: a home whose glucose a telephone knows, a team, and its pages.

Real programs: the box (`veilleur run`), the inbox, a broker with the shipped access rules, a sensor's telephone in the
home that the box asks over HTTP. The pages are asked as a browser would.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from coordination import signing_keys
from coordination.desk.access import Role
from coordination.desk.models import Membership, ProtocolDraft, Team, User
from coordination.desk.shared_database import acting
from coordination.handling import Handler
from devices.relay_address import RelayForm
from simulators.broker import Broker
from simulators.relay_server import RelayServer
from tests.coordination.desk.conftest import NOWHERE
from tests.coordination.desk.fall_kit import assert_discreet, give_phone
from tests.coordination.desk.kit import Desk, use
from tests.coordination.desk.workshop_kit import just_shown
from tests.coordination.kit import MINUTE, PATIENT, ManualClock
from tests.coordination.kit import Team as Boxes
from tests.coordination.order_kit import PINS, TeamAndBox
from tests.exchange.office import NURSE, PHYSICIAN

ADDRESS = f"/patients/{PATIENT}/protocole"


@dataclass(frozen=True, kw_only=True)
class Life:
    """One home and its team, `now` (ms UTC) being when it was made."""

    home: TeamAndBox
    boxes: Boxes
    phone: RelayServer
    clock: ManualClock
    now: int

    def pages(self) -> "Pages":
        """The desk's pages, once a program has made the database."""
        return Pages(self.home, self.boxes, self.clock)


@contextmanager
def at_home(folder: Path, boxes: Boxes) -> Iterator[Life]:
    """Yield a home and its team; afterwards no program has said a PIN or a patient's pseudonym, and none broke."""
    now = time.time_ns() // 1_000_000
    # The pages' own clock stands a little ahead, so that nothing is of the future.
    clock: ManualClock = settings.DESK.clock
    clock.now = now + 5 * MINUTE
    with Broker(folder / "broker") as broker, RelayServer(form=RelayForm.NIGHTSCOUT) as phone:
        home = TeamAndBox(folder, boxes, broker)
        give_phone(home, phone.url)
        try:
            yield Life(home=home, boxes=boxes, phone=phone, clock=clock, now=now)
        finally:
            use(NOWHERE)
    assert_discreet(home, *PINS.values())


class Pages:
    """The desk's pages over the database that the programs write."""

    def __init__(self, world: TeamAndBox, boxes: Boxes, clock: ManualClock) -> None:
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

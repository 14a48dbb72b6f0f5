"""The nurse's path, clicked through by her and a physician, on either engine: from an alert to a protocol and back.

Behind the pages are real programs: the box (`veilleur run`), the inbox, a broker with the shipped access rules, the
desk with its worker, a sensor's telephone in the home. Each signing key is made on its page, under its person's PIN.
One thing is done elsewhere: whoever holds the root names both in the list that the box is given.
"""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from devices.relay_address import RelayForm
from exchange.identity import key_id
from exchange.team_list import Person, Role
from simulators.broker import Broker
from simulators.relay_server import RelayServer
from tests.coordination.desk.browser.accounts import PASSWORD, PEOPLE, address
from tests.coordination.desk.browser.looking import Visitor, visitor
from tests.coordination.desk.browser.served import Served
from tests.coordination.desk.fall_kit import ATTENTIVE, assert_discreet, dip, earlier, give_phone, slope, values
from tests.coordination.engines import ENGINES, engine
from tests.coordination.kit import HOUR, MINUTE, PATIENT, Team
from tests.coordination.order_kit import TeamAndBox, until

pytestmark = [pytest.mark.broker, pytest.mark.process, pytest.mark.long, pytest.mark.timeout(600)]

PINS = {"nurse": "sommeil léger 7", "physician": "trois pommes vertes"}
RULE = "hypo_level_1"
ADVISED = "Patient appelé, conseil donné"
COMES_MS = 60_000
"""How long a box that starts, an order on its way or a replay is waited for on a busy machine."""


@dataclass
class Followed(Served):
    """A served desk, and the home of its patient: a real box and the telephone that it asks."""

    home: TeamAndBox
    phone: RelayServer


@contextmanager
def followed(folder: Path) -> Iterator[Followed]:
    """Yield a team at work whose patient's box is not installed yet."""
    with ExitStack() as running:
        broker = running.enter_context(Broker(folder / "broker"))
        phone = running.enter_context(RelayServer(form=RelayForm.NIGHTSCOUT))
        made = Followed(folder, TeamAndBox(folder, Team(folder), broker), phone)
        give_phone(made.home, phone.url)
        made.name_desk()
        running.enter_context(made.home.running_inbox())
        made.admit()
        running.callback(made.stop)
        made.start()
        yield made
        assert made.log() == ""


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("team")
    with engine(request.param, folder), followed(folder) as made:
        yield made


def test_an_alert_leads_to_a_protocol_that_the_next_one_obeys_and_is_closed(browser: Browser, world: Followed) -> None:
    for who, role in (("nurse", Role.NURSE), ("physician", Role.PHYSICIAN)):
        with visitor(browser, world, "nobody") as somebody:
            world.home.office.named[who] = key_made(somebody, who, role)
    world.home.list_people()
    with world.home.running_box(earlier(6)):
        pass
    now = time.time_ns() // 1_000_000
    fell = now - 3 * HOUR
    # Both have been signed in since the morning: signing asks each for the password, besides the PIN.
    with visitor(browser, world, "nurse") as nurse, visitor(browser, world, "physician") as physician:
        page = nurse.open("/alertes")
        world.phone.values += slope(fell, 68.0)
        with world.home.running_box(earlier(3)):
            take(page)
        world.phone.values += values(fell + 4 * MINUTE, *[110.0] * 7)
        with world.home.running_box(ATTENTIVE):
            before = adapt(page)
            sign(page, "nurse")
            expect(page.locator("#signatures")).to_contain_text(f"✓ Infirmière : {PEOPLE['nurse']}")
            countersign(physician)
            page.reload()
            page.get_by_role("button", name="Envoyer au boîtier").click()
            applied = comes_back(page)
            assert applied != before
            assert world.home.status()["protocol_hashes"][PATIENT].startswith(applied)
            page.get_by_role("link", name="Alertes", exact=True).click()
            # The same fall again, and a deeper one: the first is none any more, the second is one.
            world.phone.values += dip(now, 140, 68.0) + slope(now, 64.0)
            obeys(page, applied)
            close(page)
    assert_discreet(world.home, *PINS.values(), PASSWORD)


def key_made(somebody: Visitor, who: str, role: Role) -> Person:
    """Sign in and make one's signing key; return what the page says to tell whoever holds the root."""
    page = somebody.open("/compte/signature", onward=True)
    page.get_by_label("Adresse électronique").fill(address(who))
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.get_by_role("button", name="Se connecter", exact=True).click()
    page.get_by_label("Code de signature").fill(PINS[who])
    page.get_by_label("Encore une fois").fill(PINS[who])
    page.get_by_role("button", name="Faire ma clé").click()
    expect(page.locator(".flash.ok")).to_contain_text("Clé de signature faite.")
    expect(page.get_by_role("heading", name=PEOPLE[who], level=2)).to_be_visible()
    public = page.locator("main p.mono.wrap").first.inner_text().strip()
    return Person(key=key_id(bytes.fromhex(public)), public=public, name=PEOPLE[who], role=role)


def fall(page: Page) -> Locator:
    """The worklist's row of the patient's falls."""
    return page.locator(".wl tbody tr", has_text=f"règle {RULE}")


def comes(page: Page, words: str) -> Locator:
    """Look at a worklist, and at what it says is new, until the row has these words; return it."""
    row = fall(page).filter(has_text=words)

    def came() -> bool:
        if row.count():
            return True
        with page.expect_navigation(timeout=COMES_MS):
            page.locator("#news a").click(timeout=COMES_MS)
        return False

    until(came)
    return row


def take(page: Page) -> None:
    """Take what comes while she looks at the worklist, and go on to the patient."""
    row = comes(page, "sous le seuil de 70")
    expect(row).to_contain_text(f"règle {RULE} v2")
    row.get_by_role("button", name="Prendre en charge").click()
    expect(row).to_contain_text("Par vous")
    row.get_by_role("link", name=PATIENT).click()
    expect(page.get_by_role("heading", name=PATIENT, level=1)).to_be_visible()


def adapt(page: Page) -> str:
    """Lower the threshold, try that on what was measured, propose it; return the hash that the box has until then."""
    before = page.locator(".head .mono").inner_text()
    page.get_by_role("link", name="Adapter le protocole").click()
    page.get_by_role("button", name="Adapter").click()
    page.locator("summary", has_text="Les autres règles").click()
    page.locator(f"[name='v.{RULE}.threshold']").fill("66")
    page.get_by_role("button", name="Enregistrer et rejouer").click()
    changes = page.locator("#changements tbody tr", has_text="70")
    expect(changes).to_contain_text("66")
    replay = page.locator("#rejeu")
    expect(replay).to_contain_text("Ce que cela aurait changé", timeout=COMES_MS)
    replay.get_by_text("Par règle, alertes dites").click()
    by_rule = replay.get_by_role("table", name="Par règle").locator("tbody tr")
    expect(by_rule).to_have_text([re.compile(r"Hypoglycémie de niveau 1 au capteur\s*1\s*0\s*−\s1")])
    page.get_by_role("button", name="Proposer à la signature").click()
    expect(page.locator("#signatures")).to_contain_text("○ Médecin : pas encore signé")
    return before


def sign(page: Page, who: str) -> None:
    """Show who one is, read what is signed, and sign it with one's PIN."""
    page.get_by_role("link", name="Lire et signer").click()
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.get_by_role("button", name="Confirmer").click()
    expect(page.get_by_role("heading", name="Lire, puis signer")).to_be_visible()
    expect(page.get_by_role("table", name="Ce qui change").locator("tbody")).to_contain_text("66")
    page.get_by_label("Votre code de signature").fill(PINS[who])
    page.get_by_role("button", name="Signer").click()
    expect(page.locator(".flash.ok")).to_contain_text("Signé par vous.")


def countersign(physician: Visitor) -> None:
    """Sign as the second, in a browser of their own."""
    page = physician.open(f"/patients/{PATIENT}/protocole")
    sign(page, "physician")
    expect(page.locator("#signatures")).to_contain_text(f"✓ Médecin : {PEOPLE['physician']}")


def comes_back(page: Page) -> str:
    """Look again until the box has applied it; return the hash that it answered with."""

    def answered() -> bool:
        if page.get_by_text("Appliqué le").is_visible():
            return True
        page.get_by_role("link", name="Actualiser").click()
        return False

    until(answered)
    sent = page.locator("#envoi")
    expect(sent).to_contain_text(f"signé par {PEOPLE['nurse']}, {PEOPLE['physician']}")
    expect(sent).to_contain_text("(la même)")
    return sent.locator(".mono").last.inner_text()


def obeys(page: Page, applied: str) -> None:
    """What comes next is of the protocol that she adapted, beside what she has in hand; its page has the box's hash."""
    row = comes(page, "sous le seuil de 66")
    expect(row).to_contain_text(f"règle {RULE} v3")
    expect(row).to_contain_text("+1 répétition")
    expect(row).to_contain_text(f"déjà suivie par {PEOPLE['nurse']}")
    row.locator("a.open").click()
    expect(page.locator("main")).to_contain_text(f"règle {RULE}, protocole diabetes_cgm v3 · {applied}")


def close(page: Page) -> None:
    """Close it with what came of it, and the first with it: both are gone from the worklist, and in the history."""
    page.get_by_role("radio", name=ADVISED).check()
    page.get_by_role("button", name="Enregistrer", exact=True).click()
    expect(page.locator(".flash.ok")).to_contain_text(f"{PATIENT} : close.")
    page.get_by_role("link", name="Alertes", exact=True).click()
    expect(page.get_by_role("heading", name="Alertes", level=1)).to_be_visible()
    expect(fall(page)).to_have_count(0)
    page.get_by_role("link", name="Closes").click()
    closed = fall(page).filter(has_text=ADVISED).filter(has_text=PEOPLE["nurse"])
    expect(closed).to_have_count(2)
    for version in ("v2", "v3"):
        expect(closed.filter(has_text=f"règle {RULE} {version}")).to_have_count(1)
    closed.first.get_by_role("link", name=PATIENT).click()
    history = page.get_by_role("table", name="Historique des alertes").locator("tbody tr")
    of_falls = history.filter(has_text="Hypoglycémie de niveau 1")
    expect(of_falls).to_have_count(2)
    expect(of_falls.filter(has_text=f"{ADVISED}, {PEOPLE['nurse']}")).to_have_count(2)

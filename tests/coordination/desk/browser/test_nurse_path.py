"""A nurse's day in a real browser, on either engine: she signs in, an alert comes, she looks, acts, and it is kept."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.coordination.desk.browser.accounts import PASSWORD, PEOPLE, address
from tests.coordination.desk.browser.household import CHEMOTHERAPY, HEART
from tests.coordination.desk.browser.looking import visitor
from tests.coordination.desk.browser.world import World
from tests.coordination.engines import ENGINES, engine
from tests.coordination.kit import rows

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("team")
    with engine(request.param, folder), World(folder) as made:
        yield made


def test_a_nurses_path_from_signing_in_to_what_is_kept(browser: Browser, world: World) -> None:
    with visitor(browser, world, "nobody") as nurse:
        # Whoever is not signed in is asked to, and comes to where she wanted to go.
        page = nurse.open("/alertes", onward=True)
        page.get_by_label("Adresse électronique").fill(address("nurse"))
        page.get_by_label("Mot de passe").fill(PASSWORD)
        page.get_by_role("button", name="Se connecter", exact=True).click()
        expect(page.get_by_role("heading", name="Alertes", level=1)).to_be_visible()
        assert page.url == world.origin + "/alertes"
        expect(page.locator(".me")).to_contain_text(PEOPLE["nurse"])
        # What waits is there with its words: a fever under chemotherapy, of the last hours.
        fever = page.locator(".wl tbody tr", has=page.get_by_role("link", name=CHEMOTHERAPY), has_text="Fièvre sous")
        expect(fever).to_contain_text("au-dessus du seuil de 38,3")
        # An alert arrives while she looks.
        arrived = world.raise_alert(patient=HEART, rule="arrives")
        page.locator("#news").locator("a, button").click()
        new = page.locator(f"#a-{arrived[:12]}")
        expect(new).to_contain_text("Glucose bas")
        # She takes it in hand, and the row says so at once.
        new.get_by_role("button", name="Prendre en charge").click()
        expect(new).to_contain_text("Par vous")
        # The patient in ten seconds: the charts, the devices, the way of the last reading.
        new.get_by_role("link", name=HEART).click()
        expect(page.get_by_role("heading", name=HEART, level=1)).to_be_visible()
        for heading in ("Appareils", "Trajet de la mesure", "Historique des alertes"):
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
        assert page.locator("main svg.chart").count() >= 2
        # What she did is kept, with who and when, in the alert and in the record of acts.
        holder = rows(world.boxes.database, f"SELECT holder, state FROM alert WHERE id = '{arrived}'")
        assert holder == [(PEOPLE["nurse"], 1)]
        acts = rows(world.boxes.database, f"SELECT act FROM audit WHERE body LIKE '%{arrived}%'")
        assert ("alert_acknowledged",) in acts
        # She gives it back, and signs out: her session is worth nothing any more.
        card = page.locator("section.al", has_text="Glucose bas")
        card.get_by_role("button", name="Rendre").click()
        expect(card.get_by_role("button", name="Prendre en charge")).to_be_visible()
        page.get_by_role("button", name="Se déconnecter").click()
        page.goto(world.origin + "/alertes")
        assert "/compte/login/" in page.url

"""What people do at the desk in a real browser: without scripts, by keyboard, two at once, with the link lost."""

import pytest
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import Page as Tab

from coordination.team_database import connect, transaction
from tests.coordination.desk.browser.household import NEW
from tests.coordination.desk.browser.looking import PHONE, visitor
from tests.coordination.desk.browser.world import World

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(600)]
TAKE, GIVE_BACK = "Prendre en charge", "Rendre"
BACK_WITHIN_MS = 30_000
"""A browser tries again of itself a few seconds after a line broke."""


@pytest.fixture
def alert(world: World, request: pytest.FixtureRequest) -> str:
    """A problem of its own for each test: its rule bears the test's name."""
    return world.raise_alert(rule=request.node.name[:60])


def row(tab: Tab, alert: str) -> Locator:
    return tab.locator(f"#a-{alert[:12]}")


def test_an_alert_is_taken_and_given_back_on_a_telephone_without_scripts(
    browser: Browser, world: World, alert: str
) -> None:
    with visitor(browser, world, "nurse", java_script_enabled=False, viewport={"width": PHONE, "height": 800}) as nurse:
        tab = nurse.open("/alertes")
        row(tab, alert).get_by_role("button", name=TAKE).click()
        expect(tab.locator(".flash")).to_contain_text("prise en charge par vous.", ignore_case=True)
        expect(row(tab, alert)).to_contain_text("Par vous")
        row(tab, alert).get_by_role("button", name=GIVE_BACK).click()
        expect(row(tab, alert).get_by_role("button", name=TAKE)).to_be_visible()


def test_an_alert_is_found_opened_and_taken_by_keyboard_alone(browser: Browser, world: World, alert: str) -> None:
    with visitor(browser, world, "nurse") as nurse:
        tab = nurse.open("/alertes")
        for _ in range(tab.locator(".wl tbody tr").count()):
            tab.keyboard.press("j")
            if tab.evaluate("document.activeElement.id") == f"a-{alert[:12]}":
                break
        expect(row(tab, alert)).to_be_focused()
        tab.keyboard.press("k")
        expect(row(tab, alert)).not_to_be_focused()
        tab.keyboard.press("j")
        tab.keyboard.press("p")
        expect(row(tab, alert)).to_contain_text("Par vous")
        row(tab, alert).focus()
        tab.keyboard.press("Enter")
        tab.wait_for_url(f"**/patients/{NEW}")


def test_keys_do_nothing_for_who_switched_them_off_nor_while_one_writes(
    browser: Browser, world: World, alert: str
) -> None:
    with visitor(browser, world, "second") as nurse:
        tab = nurse.open("/alertes")
        field = tab.get_by_label("Rechercher")
        field.focus()
        tab.keyboard.type("jp")
        expect(field).to_have_value("jp")
        expect(field).to_be_focused()
        connection = connect(world.boxes.database)
        with transaction(connection):
            connection.execute("UPDATE desk_user SET shortcuts = FALSE WHERE email = ?", ("second@example.org",))
        connection.close()
        tab = nurse.open("/alertes")
        row(tab, alert).focus()
        for key in ("p", "j", "Enter"):
            tab.keyboard.press(key)
        expect(row(tab, alert)).to_be_focused()
        expect(row(tab, alert).get_by_role("button", name=TAKE)).to_be_visible()


def test_of_two_nurses_at_once_one_wins_and_the_other_reads_why(browser: Browser, world: World, alert: str) -> None:
    with visitor(browser, world, "nurse") as first, visitor(browser, world, "second") as other:
        hers, theirs = first.open("/alertes"), other.open("/alertes")
        row(hers, alert).get_by_role("button", name=TAKE).click()
        expect(row(hers, alert)).to_contain_text("Par vous")
        row(theirs, alert).get_by_role("button", name=TAKE).click()
        expect(theirs.locator(".flash")).to_contain_text(
            "vient d'être prise en charge par quelqu'un d'autre. Rien n'a été changé."
        )
        expect(row(theirs, alert)).to_contain_text("C. Martin")
        expect(row(theirs, alert).get_by_role("button", name=TAKE)).to_have_count(0)


def test_what_is_new_is_announced_and_the_list_stays_under_the_hand(browser: Browser, world: World, alert: str) -> None:
    with visitor(browser, world, "nurse") as nurse:
        tab = nurse.open("/alertes")
        expect(tab.locator("#live .said")).to_contain_text("Mis à jour")
        before = tab.locator(".wl tbody").inner_text()
        newer = world.raise_alert(rule="newer")
        expect(tab.locator("#news")).to_be_visible()
        assert tab.locator(".wl tbody").inner_text() == before
        tab.locator("#news").locator("a, button").click()
        expect(row(tab, newer)).to_be_visible()


def test_a_page_says_that_its_link_is_lost_and_finds_it_again(browser: Browser, world: World, alert: str) -> None:
    with visitor(browser, world, "nurse") as nurse:
        tab = nurse.open("/alertes")
        said = tab.locator("#live .said")
        expect(said).to_contain_text("Mis à jour")
        with tab.expect_response("**/evenements*", timeout=BACK_WITHIN_MS):
            tab.reload()
        world.stop()
        expect(said).to_have_text("Liaison perdue : la liste peut être en retard", timeout=BACK_WITHIN_MS)
        missed = world.raise_alert(rule="missed")
        world.start()
        expect(said).to_contain_text("Mis à jour", timeout=BACK_WITHIN_MS)
        expect(tab.locator("#news")).to_be_visible(timeout=BACK_WITHIN_MS)
        tab.locator("#news").locator("a, button").click()
        expect(row(tab, missed)).to_be_visible()
        # A browser notes in its console that nobody answered: that, and nothing else.
        assert all("ERR_" in one for one in nurse.complaints)
        nurse.complaints.clear()

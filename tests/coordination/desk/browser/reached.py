"""How one comes to a page whose address nobody can write down: as people do, from page to page.

A part of an address that exists only once somebody has acted (a code, a link, a person's row) is come by here, the
first time that a page needs it; so is a page that stands behind another (`shown`).
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from tests.coordination.desk.browser.accounts import PASSWORD, address
from tests.coordination.desk.browser.addresses import Page, samples
from tests.coordination.desk.browser.household import BOX_OF, DIABETES, NEW
from tests.coordination.desk.browser.looking import Visitor, visitor
from tests.coordination.desk.browser.world import World


def _press(tab: Tab, form: str) -> None:
    """Send the form whose address ends like that."""
    tab.locator(f"form[action$='{form}']").first.locator("button").first.click()
    tab.wait_for_load_state()


def _place(browser: Browser, world: World) -> str:
    """The page of a code for a box that comes back."""
    with visitor(browser, world, "nurse") as nurse:
        tab = nurse.open("/boitiers/ajouter")
        tab.locator("[name=numero]").fill(BOX_OF[DIABETES])
        tab.locator("main form button").first.click()
        tab.wait_for_url(re.compile(r"/boitiers/ajouter/[^/]+$"))
        return tab.url.rpartition("/")[2]


def _token(browser: Browser, world: World) -> str:
    """A link to a questionnaire: proposed by a nurse, confirmed by a physician, handed over."""
    asked = f"/patients/{NEW}/questionnaires"
    with visitor(browser, world, "nurse") as nurse, visitor(browser, world, "physician") as physician:
        # The world may have been here before, for the tests of another file.
        for somebody, act in ((nurse, "/proposer"), (physician, "/confirmer")):
            tab = somebody.open(f"{asked}?suivi=heart_failure_symptoms" if somebody is nurse else asked)
            if tab.locator(f"form[action$='{act}']").count():
                _press(tab, act)
        tab = nurse.open(asked)
        _press(tab, "/lien")
        found = re.search(r"/q/([\w-]+)", tab.locator("#lien").inner_text())
        assert found is not None
        return found[1]


def _member(browser: Browser, world: World) -> str:
    with visitor(browser, world, "admin") as admin:
        href = admin.open("/equipe").locator("main a[href^='/equipe/']").first.get_attribute("href")
        return str(href).rpartition("/")[2]


def _secret(browser: Browser, world: World) -> str:
    """A link by which somebody of the team chooses a new password."""
    with visitor(browser, world, "admin") as admin:
        tab = admin.open(f"/equipe/{_member(browser, world)}", onward=True)
        _press(tab, "/lien")
        confirm_it_is_you(tab)
        if "/compte/lien/" not in tab.content():
            _press(tab, "/lien")
        found = re.search(r"/compte/lien/([\w-]+)", tab.content())
        assert found is not None
        return found[1]


def _passkey(browser: Browser, world: World) -> str:
    return world.passkey


REACHED: Mapping[str, Callable[[Browser, World], str]] = {
    "place": _place,
    "token": _token,
    "member": _member,
    "secret": _secret,
    "pk": _passkey,
}
"""Part of an address -> how it is come by."""


class Parts(dict[str, str]):
    """What stands in addresses; what has to be come by is, once in a world, when it is first asked for."""

    def __init__(self, browser: Browser, world: World) -> None:
        super().__init__(samples(world.raise_alert(patient=NEW)))
        self._where = browser, world

    def __missing__(self, part: str) -> str:
        browser, world = self._where
        if part not in world.come_by:
            world.come_by[part] = REACHED[part](browser, world)
        self[part] = world.come_by[part]
        return self[part]


def confirm_it_is_you(tab: Tab) -> None:
    """Write the password again where the desk wants it before it goes on."""
    if "/reauthenticate/" in tab.url:
        tab.locator("main input[type=password]").fill(PASSWORD)
        tab.locator("main form button").first.click()
        tab.wait_for_load_state()


def _propose(somebody: Visitor) -> None:
    """Bring a protocol to where it is signed: begun, one threshold changed within its limits, proposed."""
    workshop = f"/patients/{DIABETES}/protocole"
    tab = somebody.open(workshop)
    if tab.locator("form[action$='/commencer']").count():
        _press(tab, "/commencer")
        one = tab.locator("form[action$='/modifier'] p", has_text="Pendant au moins").first
        limits = re.search(r"permis : de ([\d,.]+) à ([\d,.]+)", one.inner_text())
        assert limits is not None
        field = one.locator("input")
        field.fill(limits[1] if field.input_value() != limits[1] else limits[2])
        tab.locator("form[action$='/modifier'] button:not([name])").click()
        tab.wait_for_load_state()
    if tab.locator("form[action$='/proposer']").count():
        _press(tab, "/proposer")


def shown(somebody: Visitor, page: Page, parts: Mapping[str, str]) -> Tab:
    """Open a page, through what stands before it."""
    wanted = page.address(parts)
    if page.name == "mfa_authenticate":
        # The second factor is asked for once the first was right.
        tab = somebody.open("/compte/login/")
        tab.locator("[name=login]").fill(address("guarded"))
        tab.locator("[name=password]").fill(PASSWORD)
        tab.locator("main form button").first.click()
        tab.wait_for_load_state()
    else:
        if page.name == "sign_page":
            _propose(somebody)
        tab = somebody.open(wanted, onward=True)
        if "reauthenticate" not in page.pattern:
            confirm_it_is_you(tab)
    assert urlsplit(tab.url).path == urlsplit(wanted).path, tab.url
    return tab

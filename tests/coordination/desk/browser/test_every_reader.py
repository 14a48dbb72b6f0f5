"""Every page, read otherwise: without scripts, by keyboard alone, in English, on paper, in the reader's own colours."""

import re

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from tests.coordination.desk.browser.addresses import SOME, Page
from tests.coordination.desk.browser.looking import PHONE, Regulars, resize, sticks_out, words
from tests.coordination.desk.browser.reached import Parts, shown
from tests.coordination.desk.browser.world import World

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(600)]
named = pytest.mark.parametrize("page", SOME, ids=lambda page: page.name)
A4 = 718
"""CSS pixels of a printed page between its margins of a centimetre."""
ONLY_ONE = {"guarded", "keyed"}
"""Of whom there is one, who is asked to read English for a while."""
FRENCH = re.compile(r"\b(le|la|les|des|du|une|est|dans|sont|aucun|aucune|depuis|pour|avec|sous|votre)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def parts(browser: Browser, world: World) -> Parts:
    return Parts(browser, world)


def _timeless(text: str) -> str:
    """Words without numbers: the minute may change between two looks."""
    return re.sub(r"[0-9a-f]*\d[0-9a-f,.:]*", "#", text)


_FOR_SCRIPTS = """() => document.querySelectorAll("#news, [data-passkey], [data-passkey-absent]")
  .forEach(one => one.remove())"""
"""Takes out what only a script can do: announcing what came since, and asking a passkey (WebAuthn has no other way)."""


@named
def test_a_page_reads_the_same_without_scripts(regulars: Regulars, parts: Parts, page: Page) -> None:
    with regulars.visitor(page.who) as somebody:
        tab = shown(somebody, page, parts)
        tab.evaluate(_FOR_SCRIPTS)
        usual = words(tab)
    with regulars.visitor(page.who, java_script_enabled=False) as somebody:
        tab = shown(somebody, page, parts)
        tab.evaluate(_FOR_SCRIPTS)
        plain = words(tab)
    assert len(plain) > 20
    assert _timeless(plain) == _timeless(usual)


_REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary")]
  .filter(one => !one.disabled && one.checkVisibility({visibilityProperty: true}) && one.tabIndex >= 0
    && !(one.type === "radio" && !one.checked)
    && !(one.closest("details:not([open])") && !one.matches("summary")))
  .map((one, at) => { one.dataset.reached = at; return at + " " + one.outerHTML.slice(0, 90); })"""
_FOCUSED = """() => {
  const one = document.activeElement;
  if (one === document.body || one === null) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  return {at: one.dataset.reached ?? "", html: one.outerHTML.slice(0, 90),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    shown: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth};
}"""


def _walk(tab: Tab, most: int) -> list[dict[str, object]]:
    """What the tabulator key comes to, in its order, until it leaves the page."""
    found: list[dict[str, object]] = []
    for _ in range(most + 20):
        tab.keyboard.press("Tab")
        focused = tab.evaluate(_FOCUSED)
        if focused is None or (found and focused == found[0]):
            break
        found.append(focused)
    return found


@named
def test_a_page_is_walked_by_keyboard_in_its_order_and_shows_where_one_is(
    regulars: Regulars, parts: Parts, page: Page
) -> None:
    with regulars.visitor(page.who) as somebody:
        tab = shown(somebody, page, parts)
        # A page may begin in the field that it is about: the walk begins at its top.
        tab.evaluate("() => { document.activeElement.blur(); getSelection().removeAllRanges(); }")
        wanted = tab.evaluate(_REACHABLE)
        walked = _walk(tab, len(wanted))
        assert "skip" in str(walked[0]["html"])
        assert [one["html"] for one in walked if not one["outlined"] or not one["shown"]] == []
        order = [int(str(one["at"])) for one in walked if one["at"] != ""]
        assert order == sorted(order)
        assert [html for at, html in enumerate(wanted) if at not in order] == []
        # The first stop leads past the head.
        tab.locator(".skip").focus()
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.activeElement.id") == "main"


@named
def test_a_page_is_there_in_english(regulars: Regulars, parts: Parts, page: Page) -> None:
    who = page.who if page.who in {"nobody", *ONLY_ONE} else f"{page.who}-en"
    with regulars.visitor(who, locale="en-GB") as somebody:
        if who in ONLY_ONE:
            somebody.open("/langue/en?suite=/compte", onward=True)
        tab = shown(somebody, page, parts)
        assert tab.locator("html").get_attribute("lang") == "en"
        resize(tab, PHONE)
        assert sticks_out(tab) == []
        spoken = tab.locator("main").inner_text()
        assert sorted({found.group() for found in FRENCH.finditer(spoken)}) == []
        if who in ONLY_ONE:
            somebody.open("/langue/fr?suite=/compte", onward=True)


_PALE = """() => {
  const paper = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll(".shape")].filter(one => {
    const style = getComputedStyle(one);
    return ["none", paper].includes(style.fill) && ["none", paper].includes(style.stroke);
  }).map(one => one.outerHTML.slice(0, 90));
}"""


@named
def test_a_page_holds_in_the_readers_own_colours_and_on_paper_and_stands_still(
    regulars: Regulars, parts: Parts, page: Page
) -> None:
    with regulars.visitor(page.who, forced_colors="active", reduced_motion="reduce") as somebody:
        tab = shown(somebody, page, parts)
        for scheme in ("dark", "light"):
            tab.emulate_media(forced_colors="active", reduced_motion="reduce", color_scheme=scheme)
            assert tab.evaluate(_PALE) == []
        assert tab.evaluate("document.getAnimations().length") == 0
        resize(tab, PHONE)
        assert sticks_out(tab) == []
        tab.emulate_media(media="print", forced_colors="none")
        resize(tab, A4)
        assert sticks_out(tab) == []
        assert tab.locator("h1").first.is_visible()
        for gone in (".top nav", ".top .me", ".skip", ".live"):
            assert not tab.locator(gone).first.is_visible(), gone

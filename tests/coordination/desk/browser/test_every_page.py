"""Every page of the desk in a real browser: nothing in the console, no barrier, nothing that colour alone says."""

import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest
from playwright.sync_api import Browser

from tests.coordination.desk.browser.addresses import MACHINES, NO_PAGES, PAGES, Page, found, samples
from tests.coordination.desk.browser.looking import (
    PHONE,
    WIDE,
    ZOOMED,
    Regulars,
    barriers,
    lost_in_grey,
    resize,
    sticks_out,
)
from tests.coordination.desk.browser.reached import REACHED, Parts, shown
from tests.coordination.desk.browser.world import World

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(600)]
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def parts(browser: Browser, world: World) -> Parts:
    return Parts(browser, world)


def test_each_part_of_an_address_has_a_sample() -> None:
    assert {part for page in PAGES for part in page.parts()} <= {*samples(""), *REACHED}
    assert len(PAGES) > 3


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _answered(request: urllib.request.Request) -> tuple[int, str]:
    """The status, and the kind of what is answered; "sends on" for a redirection."""
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, "sends on" if error.code == 302 else error.headers["Content-Type"]


def _asked(world: World, page: Page, parts: Mapping[str, str]) -> urllib.request.Request:
    cookie = f"{world.cookie}={world.sessions.get(page.who, '')}"
    return urllib.request.Request(world.origin + page.address(parts), headers={"Cookie": cookie})


def test_what_is_called_no_page_is_none(world: World, parts: Parts) -> None:
    asked = {page.name: page for page in found() if page.name in NO_PAGES}
    assert set(asked) == set(NO_PAGES)
    answers = {name: _answered(_asked(world, page, parts)) for name, page in asked.items()}
    assert {name: kind for name, (_, kind) in answers.items() if NO_PAGES[name] not in kind} == {}


def test_what_other_systems_ask_is_answered_in_their_words_and_by_no_page(world: World) -> None:
    parts = {"kind": "Patient", "key": "nobody", "job": "none", "file": "none"}
    assert len(MACHINES) > 3
    answers = {page.name: _answered(_asked(world, page, parts)) for page in MACHINES}
    assert {name: kind for name, (_, kind) in answers.items() if "application/fhir+json" not in kind} == {}


SPOILT = {
    "a mark without words": """() => { const one = document.createElement("i");
      one.style.cssText = "display: block; width: 9px; height: 9px; background: var(--p1)";
      document.body.replaceChildren(one); }""",
    "a mark as light as its ground": """() => {
      document.querySelector("svg.shape.p1").parentElement.style.background = "var(--p2)"; }""",
    "two priorities of one form": """() => { const [one] = document.querySelectorAll("svg.shape.p1");
      const other = one.cloneNode(true); other.classList.replace("p1", "p2"); one.after(other); }""",
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_colour_alone_would_say_is_found(regulars: Regulars, parts: Parts, spoil: str) -> None:
    assert parts["alert"]
    with regulars.visitor("nurse") as nurse:
        tab = nurse.open("/alertes")
        assert lost_in_grey(tab) == []
        tab.evaluate(spoil)
        assert len(lost_in_grey(tab)) == 1


@named
def test_a_page_keeps_nobody_out_at_any_width(regulars: Regulars, parts: Parts, page: Page) -> None:
    with regulars.visitor(page.who) as somebody:
        opened = shown(somebody, page, parts)
        for width in (WIDE, PHONE):
            resize(opened, width)
            assert sticks_out(opened) == []
            assert barriers(opened) == []
        assert lost_in_grey(opened) == []
        resize(opened, ZOOMED)
        assert sticks_out(opened) == []

"""Every page of the desk in a real browser: nothing in the console, no barrier, nothing that sticks out."""

import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Browser

from tests.coordination.desk.browser.addresses import NO_PAGES, PAGES, Page, found, samples
from tests.coordination.desk.browser.looking import PHONE, WIDE, ZOOMED, barriers, resize, sticks_out, visitor
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
    """The status, and the kind of content; "sends on" for a redirection."""
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, "sends on" if error.code == 302 else "refused"


def test_what_is_called_no_page_is_none(world: World, parts: Parts) -> None:
    asked = {page.name: page for page in found() if page.name in NO_PAGES}
    assert len(asked) > 3
    for name, page in asked.items():
        cookie = f"{world.cookie}={world.sessions.get(page.who, '')}"
        request = urllib.request.Request(world.origin + page.address(parts), headers={"Cookie": cookie})
        status, kind = _answered(request)
        assert (status, kind) == (302, "sends on") or NO_PAGES[name] in kind, name


@named
def test_a_page_keeps_nobody_out_at_any_width(browser: Browser, world: World, parts: Parts, page: Page) -> None:
    with visitor(browser, world, page.who) as somebody:
        opened = shown(somebody, page, parts)
        for width in (WIDE, PHONE):
            resize(opened, width)
            assert sticks_out(opened) == []
            assert barriers(opened) == []
        resize(opened, ZOOMED)
        assert sticks_out(opened) == []

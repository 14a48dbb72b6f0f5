"""Hostile text in every field of the desk and of a box: it is shown as it is, runs nothing and breaks no page."""

import msgspec
import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from alerting.alert import ChangeKind
from coordination.database import Presence
from devices.reading import Quantity
from exchange.messages import Content, Record, Said, Status, observation
from tests.coordination.desk.browser.addresses import SOME, Page
from tests.coordination.desk.browser.household import BOX_OF, NEW, reading
from tests.coordination.desk.browser.looking import PHONE, WIDE, Regulars, resize, sticks_out, visitor
from tests.coordination.desk.browser.reached import Parts, shown
from tests.coordination.desk.browser.world import World
from tests.coordination.kit import EPOCH, MINUTE, hypo

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(600)]
named = pytest.mark.parametrize("page", SOME, ids=lambda page: page.name)
RUNS = "window.ran.push(1)"
TEXTS = {
    "script": f"<script>{RUNS}</script>",
    "image": f'"><img src=x onerror="{RUNS}">',
    "attribute": f"' onfocus={RUNS} autofocus tabindex=1 '",
    "template": "{{ 7*7 }}{% raw %}${7*7}",
    "turned": "\u202e\u2066abc\u2069\u202c\u0301\u200f",
    "wide": "W" * 64,
    "quotes": "'; DROP TABLE alert; --\"\\",
    "closing": "</td></table></main><h1>x</h1>",
    "control": "a\x01\x1b[31m\x7f\ufffeb",
}
"""Each at most 64 characters: as long as the shortest of the texts that a box sends may be."""


def hostile_records(at: int) -> list[Record]:
    """What a box with a valid key may send when its software is not ours: every text of it is hostile."""
    found: list[Record] = []
    for number, text in enumerate(TEXTS.values()):
        sound = observation(NEW, reading(Quantity.BODY_WEIGHT, 80_000, at - number * MINUTE, "d"))
        found.append(
            msgspec.structs.replace(sound, device=text, key=f"{number}{text}", source=text, device_value=text,
                                    site=text[:40], device_time=text[:40])
        )  # fmt: skip
        raised = hypo(ChangeKind.RAISED, patient=NEW, onset=at - number * MINUTE)
        found.append(
            msgspec.structs.replace(
                raised, rule=text, fr=text, en=text, protocol=text, protocol_hash=text, engine_version=text[:32],
                alert_id=f"{number:032x}", check=Said(fr=text, en=text), higher=Said(fr=text, en=text),
                lacking=Said(fr=text, en=text), told_at=at,
            )
        )  # fmt: skip
    return found


def _travelled(records: list[Record]) -> list[Record]:
    """As the team's side reads them off the wire, where what may not travel is refused."""
    return list(msgspec.msgpack.decode(msgspec.msgpack.encode(Content(records=tuple(records))), type=Content).records)


@pytest.fixture(scope="module")
def hostile(world: World) -> World:
    world.receive(*_travelled(hostile_records(world.now - MINUTE)), box=BOX_OF[NEW])
    status = Status(
        state="online", box=BOX_OF[NEW], epoch=EPOCH, session="2" * 32, next_seq=0, backlog=0,
        version=TEXTS["image"], protocols={NEW: TEXTS["script"]}, at=world.now,
    )  # fmt: skip
    world.boxes.store(world.database, Presence(status=status, retained=False), at=world.now)
    return world


def _harmless(tab: Tab) -> None:
    """Nothing ran, nothing was made of the text, the page holds."""
    assert tab.evaluate("window.ran") == []
    assert (
        tab.evaluate(
            "[...document.querySelectorAll('*')].filter(one => [...one.attributes].some("
            "at => at.name.startsWith('on') || at.name === 'autofocus')).map(one => one.outerHTML.slice(0, 120))"
        )
        == []
    )
    assert tab.locator("img:not([src^='/']), script:not([src^='/static/'])").count() == 0
    assert tab.locator("main h1").count() == 1
    for width in (WIDE, PHONE):
        resize(tab, width)
        assert sticks_out(tab) == []


@named
def test_what_a_hostile_box_says_is_shown_and_runs_nothing(
    browser: Browser, regulars: Regulars, hostile: World, page: Page
) -> None:
    parts = Parts(browser, hostile)
    if page.name != "sign_page":
        # Under a protocol that nobody can read there is nothing to sign.
        parts |= {"alert": f"{0:032x}", "pseudonym": NEW, "box": BOX_OF[NEW]}
    with regulars.visitor(page.who) as somebody:
        _harmless(shown(somebody, page, parts))


def test_hostile_words_are_read_as_they_were_written(browser: Browser, hostile: World) -> None:
    with visitor(browser, hostile, "nurse") as somebody:
        shown = somebody.open("/alertes").locator(".wl").inner_text()
        assert [name for name, text in TEXTS.items() if name not in {"turned", "control"} and text not in shown] == []


_FORMS = """() => [...document.forms].filter(form => form.querySelector(
    "input:not([type=hidden]):not([type=checkbox]):not([type=radio]), textarea")).length"""
_FILL = """([at, text]) => {
  const form = [...document.forms].filter(form => form.querySelector(
    "input:not([type=hidden]):not([type=checkbox]):not([type=radio]), textarea"))[at];
  form.noValidate = true;
  for (const field of form.querySelectorAll("input, textarea, select")) {
    if (["checkbox", "radio", "file"].includes(field.type) || field.name === "csrfmiddlewaretoken") continue;
    if (field.tagName === "SELECT") {
      field.add(new Option(text, text, true, true));
      continue;
    }
    if (field.type !== "hidden" && field.tagName === "INPUT") field.type = "text";
    field.removeAttribute("maxlength");
    field.value = text;
  }
  form.submit();
}"""
LONG = "W" * 6_000
"""Several of them still fit into the address of a form that asks."""


@named
def test_hostile_text_in_every_field_of_a_page_is_answered_in_words(
    browser: Browser, regulars: Regulars, hostile: World, page: Page
) -> None:
    parts = Parts(browser, hostile)
    with regulars.visitor(page.who) as somebody:
        address = page.address(parts)
        tab = shown(somebody, page, parts)
        for at in range(tab.evaluate(_FORMS)):
            for text in (" ".join(TEXTS.values()), "nul\0here", LONG):
                tab = somebody.context.pages[0]
                tab.goto(hostile.origin + address)
                with tab.expect_navigation() as answered:
                    tab.evaluate(_FILL, [at, text])
                answer = answered.value
                assert answer is not None
                assert answer.status < 500, (address, text[:20])
                if text is not LONG:
                    _harmless(tab)
        # A refusal is a page too; a browser notes its number, and what it does not show in a field of a kind.
        noted = ("status of 4", "does not conform to the required format", "cannot be parsed, or is out of range")
        assert [one for one in somebody.complaints if not any(words in one for words in noted)] == []
        somebody.complaints.clear()

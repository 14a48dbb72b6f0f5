"""A browser over the desk, and what is looked for on each page: faults that nobody would see by reading its HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from tests.coordination.desk.browser.served import Served

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, PHONE, ZOOMED = 1400, 390, 640
"""CSS pixels; a window of 1280 pixels at 200 % has 640 (WCAG 1.4.4)."""

_WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP: " + event.violatedDirective + " " + event.blockedURI));
window.ran = [];
"""
"""Before anything of the page: what its policy keeps out is said. Hostile input that runs would push to `ran`."""


@dataclass
class Visitor:
    """Somebody's browser: one context, its console, what it asked for; `stays` in one tab, or opens one each time."""

    world: Served
    context: BrowserContext
    stays: bool = False
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str, *, status: int = 200, onward: bool = False) -> Page:
        """Open an address in a tab, and wait until all of it is there; it may lead elsewhere when `onward`."""
        page = self.context.pages[0] if self.stays and self.context.pages else self._new_tab()
        answer = page.goto(self.world.origin + address)
        assert answer is not None
        assert answer.status == status, f"{address}: {answer.status}"
        assert onward or page.url.partition("?")[0] == self.world.origin + address.partition("?")[0], page.url
        return page

    def _new_tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("request", self._asked)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"{message.page.url if message.page else ''}: {message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.world.origin, "data:")):
            self.complaints.append(f"asked somebody else: {request.url}")


def _enter(world: Served, context: BrowserContext, who: str) -> None:
    """Sign somebody in; "nobody" out."""
    context.clear_cookies()
    if who != "nobody":
        value = world.sessions[who]
        context.add_cookies([{"name": world.cookie, "value": value, "url": world.origin, "httpOnly": True}])


def _new_context(browser: Browser, options: dict[str, Any]) -> BrowserContext:
    options = {"viewport": {"width": WIDE, "height": 900}, "locale": "fr-FR"} | options
    context = browser.new_context(**options)
    context.set_default_timeout(15_000)
    if options.get("java_script_enabled", True):
        context.add_init_script(_WATCH)
    return context


@contextmanager
def visitor(browser: Browser, world: Served, who: str, **options: Any) -> Iterator[Visitor]:
    """Yield the browser of one of PEOPLE, already signed in; of nobody's for "nobody".

    What it complained about when it is closed fails the test, whatever the test was about.
    """
    context = _new_context(browser, options)
    try:
        _enter(world, context, who)
        made = Visitor(world, context)
        yield made
        assert made.complaints == []
    finally:
        context.close()


class Regulars:
    """Visitors who come again and again: each has one browser and one tab for a whole file of tests.

    A browser that is new has its programs to start and its scripts to compile for every page; these have that once.
    """

    def __init__(self, browser: Browser, world: Served) -> None:
        self.browser, self.world = browser, world
        self._known: dict[str, Visitor] = {}

    @contextmanager
    def visitor(self, who: str, **options: Any) -> Iterator[Visitor]:
        """Yield what `visitor` does: signed in anew, one tab, nothing to complain about."""
        key = f"{who} {sorted(options.items())}"
        if key not in self._known:
            self._known[key] = Visitor(self.world, _new_context(self.browser, options), stays=True)
        known = self._known[key]
        _enter(self.world, known.context, who)
        try:
            yield known
            assert known.complaints == []
        finally:
            known.complaints.clear()
            for page in known.context.pages[:1]:
                # As the next one expects to find it.
                page.emulate_media(media="screen")
                resize(page, WIDE)

    def close(self) -> None:
        for one in self._known.values():
            one.context.close()


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})


def barriers(page: Page) -> list[str]:
    """What axe-core finds, each with where; it is there once for all widths of a page."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations'],"
        " preload: false})",
        RULES,
    )
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def sticks_out(page: Page) -> list[str]:
    """What is wider than the window, in a page that scrolls sideways; a box that scrolls by itself may."""
    found: list[str] = page.evaluate(
        """() => {
        const room = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= room) return [];
        const wide = one => Math.max(one.getBoundingClientRect().right,
          one.getBoundingClientRect().left + (one.scrollWidth > one.clientWidth ? one.scrollWidth : 0));
        return [...document.body.querySelectorAll("*")].filter(one => wide(one) > room + 1)
          .map(one => `${one.tagName}.${one.className?.baseVal ?? one.className}: `
            + one.textContent.trim().slice(0, 60))
          .slice(-4).concat(`scrolls to ${document.documentElement.scrollWidth}`);
        }"""
    )
    return found


_IN_GREY = """() => {
  const root = getComputedStyle(document.documentElement);
  const probe = document.body.appendChild(document.createElement("i"));
  const read = value => { probe.style.color = value; return getComputedStyle(probe).color; };
  const meant = new Map(["--p1", "--p2", "--p3", "--p4", "--ok"].map(
    name => [read(root.getPropertyValue(name)), name]));
  probe.remove();
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(one => one / 255)
      .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const clear = colour => colour === "transparent" || /^rgba.*, 0\\)$/.test(colour);
  const ground = one => {
    for (let on = one; on; on = on.parentElement) {
      const colour = on instanceof HTMLElement ? getComputedStyle(on).backgroundColor : "rgba(0, 0, 0, 0)";
      if (!clear(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const named = one => one.textContent.trim() || one.getAttribute("aria-label") || one.getAttribute("title");
  const said = one => {
    const holder = one.closest("svg")?.parentElement ?? one;
    const near = holder.closest("a, button, p, li, td, th, dt, dd, label, h1, h2, h3, h4, section, div") ?? holder;
    return Boolean(named(one) || named(near) || (near.parentElement && named(near.parentElement)));
  };
  const marks = [], drawn = new Map();
  for (const one of document.body.querySelectorAll("*")) {
    if (!one.checkVisibility()) continue;
    for (const part of [null, "::before", "::after"]) {
      const style = getComputedStyle(one, part);
      if (part && style.content === "none") continue;
      const paints = one instanceof SVGElement
        ? (one instanceof SVGGeometryElement ? [style.fill, style.stroke] : [])
        : [style.backgroundColor, ...["Top", "Right", "Bottom", "Left"].filter(
            side => parseFloat(style[`border${side}Width`]) > 0).map(side => style[`border${side}Color`])];
      for (const paint of paints.filter(paint => meant.has(paint)))
        marks.push([one, meant.get(paint), paint]);
    }
    if (one.matches("svg.shape")) {
      const priority = [...one.classList].find(name => /^p\\d$/.test(name));
      const form = [...one.children].map(part => part.tagName + (part.getAttribute("d") ?? "")).join();
      drawn.set(form, (drawn.get(form) ?? new Set()).add(priority));
    }
  }
  const short = one => one.outerHTML.slice(0, 120);
  return [
    ...marks.filter(([one]) => !said(one)).map(([one, name]) => `${name} alone says it: ${short(one)}`),
    ...marks.filter(([one, , paint]) => contrast(paint, ground(one.parentElement)) < 3)
      .map(([one, name]) => `${name} is lost on its ground: ${short(one)}`),
    ...[...drawn].filter(([, of]) => of.size > 1).map(([form, of]) => `one form for ${[...of]}: ${form}`),
  ];
}"""
"""The desk's colours that mean something are named in its sheet: priorities (p1 to p4) and what is well (ok)."""


def lost_in_grey(page: Page) -> list[str]:
    """What only a colour tells, each with where; nothing when a page keeps its meaning without colours.

    A mark in a colour that means something must stand with words (or a name), and be seen on what it lies on by its
    lightness alone, 3 to 1 (WCAG 1.4.11, which axe leaves to people); priorities have each a form of its own.
    """
    found: list[str] = page.evaluate(_IN_GREY)
    return found


def words(page: Page) -> str:
    """What stands in the page's main part."""
    return " ".join(page.locator("main").inner_text().split())

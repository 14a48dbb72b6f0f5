"""`python -m tests.coordination.desk.browser.pictures` (`make pictures`): docs/pictures/, made anew from the real desk.

Each picture is a page as a nurse sees it, of the world of these tests: simulated patients and one recorded glucose
trace (Hall 2018, CC BY; NOTICE). Colours are counted down, so that a picture weighs some tens of kilobytes.
"""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import tests.coordination.desk.conftest  # noqa: F401 - sets Django up, whose table of addresses is read
from simulators.chromium import find_chromium
from tests.coordination.desk.browser.household import BOX_OF, CHEMOTHERAPY, DIABETES, HEART
from tests.coordination.desk.browser.looking import PHONE, visitor
from tests.coordination.desk.browser.world import World

FOLDER = Path(__file__).parents[4] / "docs" / "pictures"
COLOURS = 200
DESKTOP = 1200


def _nothing(page: Page) -> None:
    """Show the page as it opens."""


def _taken(page: Page) -> None:
    page.get_by_role("button", name="Prendre en charge").first.click()
    page.get_by_text("Par vous").first.wait_for()


def _figures(page: Page) -> None:
    page.locator("summary", has_text="Voir les chiffres en tableau").last.click()
    page.locator("details[open]").scroll_into_view_if_needed()


def _whole(page: Page) -> None:
    page.locator(".wl tbody tr", has_text=CHEMOTHERAPY).first.locator("a.open").click()
    page.wait_for_url("**/alertes/*")


def _begun(page: Page) -> None:
    page.locator("form[action$='/commencer'] button").click()
    page.locator("form[action$='/modifier']").wait_for()


def _asked(page: Page) -> None:
    page.locator("[name=numero]").fill(BOX_OF[HEART])
    page.locator("main form button").first.click()
    page.locator("main svg").first.wait_for()


@dataclass(frozen=True)
class Picture:
    """One picture: its file's name, who looks at which address, the window's size, and what they did there."""

    name: str
    who: str
    address: str
    width: int = DESKTOP
    height: int = 760
    before: Callable[[Page], None] = _nothing


PICTURES = (
    Picture("connexion", "nobody", "/compte/login/", height=520),
    Picture("alertes", "nurse", "/alertes"),
    Picture("prise-en-charge", "nurse", "/alertes", height=420, before=_taken),
    Picture("telephone", "nurse", "/alertes", width=PHONE, height=844),
    Picture("patient-diabete", "nurse", f"/patients/{DIABETES}", height=900),
    Picture("patient-coeur", "nurse", f"/patients/{HEART}", height=1000),
    Picture("tableau", "nurse", f"/patients/{HEART}", height=620, before=_figures),
    Picture("alerte", "nurse", "/alertes", height=900, before=_whole),
    Picture("atelier", "nurse", f"/patients/{DIABETES}/protocole", height=900, before=_begun),
    Picture("questionnaire", "nurse", f"/patients/{HEART}/questionnaires?suivi=heart_failure_symptoms", height=900),
    Picture("boitiers", "nurse", "/boitiers", height=620),
    Picture("boitier", "nurse", f"/boitiers/{BOX_OF[HEART]}", height=900),
    Picture("equipe", "admin", "/equipe", height=760),
    Picture("enroler", "nurse", "/boitiers/ajouter", height=760, before=_asked),
    Picture("charge", "nurse", "/charge", height=760),
    Picture("audit", "auditor", "/audit", height=620),
)


def _small(png: bytes) -> bytes:
    """The same picture with few colours."""
    kept = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(kept, "PNG", optimize=True)
    return kept.getvalue()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    chromium = find_chromium()
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium.binary, args=list(chromium.arguments()), env=dict(chromium.environment())
        )
        for one in PICTURES:
            viewport = {"width": one.width, "height": one.height}
            with visitor(browser, world, one.who, viewport=viewport) as somebody:
                page = somebody.open(one.address)
                one.before(page)
                made = _small(page.screenshot())
                (FOLDER / f"{one.name}.png").write_bytes(made)
                print(f"docs/pictures/{one.name}.png  {len(made) / 1024:.0f} KiB")
        browser.close()


if __name__ == "__main__":
    main()

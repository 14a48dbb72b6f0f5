"""One team for the tests of a process, one browser for those of a file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from simulators.chromium import Chromium, find_chromium
from tests.coordination.desk.browser.looking import Regulars
from tests.coordination.desk.browser.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("team")) as made:
        yield made
        assert made.log() == ""


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    """The distribution's Chromium, which is asked once whether it starts."""
    return find_chromium()


@pytest.fixture(scope="module")
def browser(world: World, chromium: Chromium) -> Iterator[Browser]:
    """One that runs. Closed before its file ends: other tests have event loops of their own."""
    with sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=chromium.binary,
            args=[*chromium.arguments(), "--disable-gpu"],
            env=dict(chromium.environment()),
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def regulars(browser: Browser, world: World) -> Iterator[Regulars]:
    """Those who read page after page."""
    made = Regulars(browser, world)
    yield made
    made.close()

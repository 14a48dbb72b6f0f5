"""Passkeys in a real browser with its virtual authenticator: made, used alone, and used after a password."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from allauth.mfa.models import Authenticator
from django.db import connections

from coordination.desk.access import Role
from coordination.desk.models import User
from exchange.audit_chain import Act
from simulators.broker import free_port
from simulators.chromium import find_chromium
from tests.coordination.desk.kit import PASSWORD, Desk
from tests.coordination.desk.test_sign_in import EMAIL, acts, hashed

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.process
SERVED = """
import sys
from pathlib import Path
from alerting.alert import Sentence
from coordination.desk.site import DeskSite, configure
from devices.clock import SystemClock

configure(DeskSite(
    database=sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1]), secret="of the tests only, " * 4,
    hosts=("localhost",), https=False, clock=SystemClock(), second_factor="offered",
    reading_hours=Sentence(fr="Alertes lues de 8 h à 20 h.", en="Alerts are read from 8:00 to 20:00.")))
from coordination.desk.serving import serve_until_told
serve_until_told("127.0.0.1", int(sys.argv[2]))
"""


@contextmanager
def served(place: object) -> Iterator[str]:
    """Serve the desk as a process, under the one name for which passkeys need no TLS."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", SERVED, str(place), str(port)]) as process:
        try:
            while not _listens(port):
                assert process.poll() is None
                Event().wait(0.05)
            yield f"http://localhost:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(120)
def test_a_passkey_is_made_and_signs_in_alone_and_after_the_password(desk: Desk, tmp_path: Path) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    User.objects.filter(pk=user.pk).update(password=hashed())
    connections["default"].close()
    seen: list[str] = []
    chromium = find_chromium()
    with served(desk.boxes.database) as base, sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium.binary, args=[*chromium.arguments()], env=dict(chromium.environment())
        )
        page = browser.new_context(locale="fr-FR").new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        tools = page.context.new_cdp_session(page)
        tools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

        def sign_in_with_password() -> None:
            page.goto(f"{base}/compte/login/")
            page.fill("#id_login", EMAIL)
            page.fill("#id_password", PASSWORD)
            page.locator("form[action$='/compte/login/'] button").click()

        sign_in_with_password()
        page.wait_for_url(f"{base}/alertes")
        page.goto(f"{base}/compte/2fa/webauthn/add/")
        page.fill("#id_name", "Mon téléphone")
        page.click("text=Faire la clé")
        page.wait_for_url(f"{base}/compte/2fa/recovery-codes/")
        page.goto(f"{base}/compte")
        assert page.locator("text=Mon téléphone").count() >= 1
        page.locator("header form button").click()
        page.wait_for_url(f"{base}/compte/login/**")

        page.locator("form[data-passkey=login] button").click()
        page.wait_for_url(f"{base}/alertes")
        page.locator("header form button").click()
        page.wait_for_url(f"{base}/compte/login/**")

        sign_in_with_password()
        page.wait_for_url(f"{base}/compte/2fa/authenticate/")
        page.locator("form[data-passkey=get] button").click()
        page.wait_for_url(f"{base}/alertes")
        browser.close()
    assert seen == []
    assert Authenticator.objects.filter(user=user, type="webauthn").count() == 1
    assert [entry.detail["way"] for entry in acts(desk, Act.SIGNED_IN)] == ["password", "passkey", "second"]

"""Looking at the desk as a browser does: signing in over HTTP, and reading what its pages show.

No library of the desk is used here: whoever looks knows an address, an e-mail address and a password.
"""

import html
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import CookieJar
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from simulators.desk_server import Account
from simulators.errors import WorldError

PATIENCE_S = 60.0
_WAIT_S = 0.2
_TIMEOUT_S = 20.0
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What the desk should show of a patient: the newest sentence of a problem that waits for somebody."""

    patient: str
    sentence: str


class Visitor:
    """Somebody who is signed in."""

    def __init__(self, address: str) -> None:
        """`address` is where the desk is, like http://127.0.0.1:8080."""
        self._address = address
        self._opener: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))

    def sign_in(self, account: Account) -> None:
        """Sign in.

        Raises:
            WorldError: the desk does not answer, or does not let this account in.
        """
        form = self.page("/compte/login/")
        token = _TOKEN.search(form)
        if token is None:
            raise WorldError("the desk shows no form to sign in")
        fields = {"csrfmiddlewaretoken": token[1], "login": account.email, "password": account.password}
        request = Request(  # noqa: S310 - http on this machine
            f"{self._address}/compte/login/",
            data=urlencode(fields).encode(),
            headers={"Referer": f"{self._address}/compte/login/"},
        )
        if account.name not in self._text(request):
            raise WorldError(f"the desk does not let {account.email} in")

    def page(self, path: str) -> str:
        """Return a page as text; its sentences are unescaped.

        Raises:
            WorldError: it does not come.
        """
        return self._text(Request(f"{self._address}{path}"))  # noqa: S310 - http on this machine

    def shown(self, waiting: Iterable[Waiting]) -> tuple[Waiting, ...]:
        """Return those of what should be shown that the worklist shows."""
        pages: dict[str, str] = {}
        found = []
        for one in waiting:
            if one.patient not in pages:
                pages[one.patient] = self.page(f"/alertes?patient={quote(one.patient)}")
            if one.patient in pages[one.patient] and one.sentence in pages[one.patient]:
                found.append(one)
        return tuple(found)

    def _text(self, request: Request) -> str:
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return html.unescape(answer.read().decode())
        except (URLError, HTTPException, OSError) as error:
            raise WorldError(f"the desk does not answer at {request.full_url}: {error}") from error


def reach_desk(address: str) -> None:
    """Return once the desk answers.

    Raises:
        WorldError: it does not for a minute.
    """
    visitor, end = Visitor(address), time.monotonic() + PATIENCE_S
    while True:
        try:
            visitor.page("/sante")
        except WorldError:
            if time.monotonic() > end:
                raise
            time.sleep(_WAIT_S)
        else:
            return

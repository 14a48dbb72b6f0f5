"""A small identity provider on loopback, as Pro Santé Connect is seen by a desk: OpenID Connect, code flow, one client.

It answers over real HTTP with real signatures (RS256) and is as strict as the standards ask (OpenID Connect Core 1.0,
sections 3.1.2 and 3.1.3; RFC 7636): the redirect address must be the one that is known, a challenge and a nonce must be
there, a code works once, with its verifier and its address. What it may do wrong on purpose is `Fault`.

Not here: a page on which to sign in. Whoever `person` is, is signed in; nobody, and it answers `access_denied`.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CODE_LASTS_S = 60
MOST_BYTES = 16_384
_ACCEPTED_ACR = frozenset({"eidas1", "eidas2"})


class Fault(StrEnum):
    """What it does wrong, once it is told to."""

    NONE = "none"
    NONCE = "nonce"
    NO_NONCE = "no_nonce"
    SIGNATURE = "signature"
    UNSIGNED = "unsigned"
    SIGNED_BY_PUBLIC_KEY = "signed_by_public_key"
    UNKNOWN_KEY = "unknown_key"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    OTHER_PARTY = "other_party"
    EXPIRED = "expired"
    LEVEL = "level"
    USERINFO_OF_ANOTHER = "userinfo_of_another"
    NO_ID_TOKEN = "no_id_token"  # noqa: S105 - a word
    GARBAGE = "garbage"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is signed in at the provider: their `sub`, and what its userinfo says besides."""

    subject: str
    info: Mapping[str, str] = field(default_factory=dict)


@dataclass
class OidcProvider:
    """One provider with one client.

    Attributes:
        client_id: of the desk.
        secret: of the desk.
        redirect: the one address that it sends people back to.
        person: who is signed in, None for nobody.
        fault: what it does wrong.
        asked: what its last authorization request said.
        refused: why it refused, oldest first.
    """

    client_id: str
    secret: str
    redirect: str
    person: Person | None = None
    fault: Fault = Fault.NONE
    asked: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    base: str = ""
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    _codes: dict[str, tuple[float, Person, dict[str, str]]] = field(default_factory=dict)
    _tokens: dict[str, Person] = field(default_factory=dict)

    @contextmanager
    def serving(self) -> Iterator["OidcProvider"]:
        """Serve on loopback for as long as the block lasts; `base` is its issuer."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="oidc", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    # --- what it answers: (status, headers, body) -----------------------------------------------------------

    def discovery(self) -> dict[str, object]:
        """Return what it says of itself."""
        return {
            "issuer": self.base,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "userinfo_endpoint": f"{self.base}/userinfo",
            "jwks_uri": f"{self.base}/certs",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, object]:
        """Return its public keys."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "kid": "first", "use": "sig", "alg": "RS256"}]}

    def authorize(self, query: dict[str, str]) -> str | None:
        """Return where it sends somebody, None when that cannot be told safely."""
        self.asked = query
        if query.get("client_id") != self.client_id or query.get("redirect_uri") != self.redirect:
            self.refused.append("client or redirect address")
            return None
        state = {"state": query["state"]} if "state" in query else {}
        wrong = [
            why
            for why, right in (
                ("response_type", query.get("response_type") == "code"),
                ("scope", "openid" in query.get("scope", "").split()),
                ("challenge", len(query.get("code_challenge", "")) == 43),
                ("method", query.get("code_challenge_method") == "S256"),
                ("nonce", len(query.get("nonce", "")) >= 16),
                ("level", bool(_ACCEPTED_ACR & set(query.get("acr_values", "").split()))),
                ("state", bool(state)),
            )
            if not right
        ]
        if wrong or self.person is None:
            self.refused += wrong or ["nobody is signed in"]
            error = "invalid_request" if wrong else "access_denied"
            return f"{self.redirect}?{urlencode({'error': error, **state})}"
        code = secrets.token_urlsafe(24)
        self._codes[code] = (time.monotonic() + CODE_LASTS_S, self.person, query)
        return f"{self.redirect}?{urlencode({'code': code, **state})}"

    def token(self, form: dict[str, str], client: tuple[str, str]) -> dict[str, object] | None:
        """Return tokens for a code, None after noting why not."""
        until, person, query = self._codes.pop(form.get("code", ""), (0.0, None, {}))
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        wrong = [
            why
            for why, right in (
                ("client", client[0] == self.client_id and hmac.compare_digest(client[1], self.secret)),
                ("grant", form.get("grant_type") == "authorization_code"),
                ("code", person is not None and time.monotonic() < until),
                ("redirect", form.get("redirect_uri") == query.get("redirect_uri")),
                ("verifier", _base64(challenge) == query.get("code_challenge")),
            )
            if not right
        ]
        if wrong or person is None:
            self.refused += wrong
            return None
        access = secrets.token_urlsafe(24)
        self._tokens[access] = person
        answer: dict[str, object] = {"access_token": access, "token_type": "Bearer", "expires_in": 120}
        if self.fault is not Fault.NO_ID_TOKEN:
            answer["id_token"] = self._id_token(person, query)
        return answer

    def userinfo(self, access: str) -> dict[str, object] | None:
        """Return what it says of whoever the token is for."""
        person = self._tokens.get(access)
        if person is None:
            self.refused.append("access token")
            return None
        subject = "somebody-else" if self.fault is Fault.USERINFO_OF_ANOTHER else person.subject
        return {"sub": subject, **person.info}

    def _id_token(self, person: Person, query: dict[str, str]) -> str:
        now, fault = int(time.time()), self.fault
        claims: dict[str, Any] = {
            "iss": "https://another.example" if fault is Fault.ISSUER else self.base,
            "aud": "another-client" if fault is Fault.AUDIENCE else self.client_id,
            "azp": "another-client" if fault is Fault.OTHER_PARTY else self.client_id,
            "sub": person.subject,
            "iat": now - 900 if fault is Fault.EXPIRED else now,
            "exp": now - 600 if fault is Fault.EXPIRED else now + 120,
            "nonce": "not-what-was-asked" if fault is Fault.NONCE else query["nonce"],
            "acr": "eidas0" if fault is Fault.LEVEL else query["acr_values"].split()[0],
            "auth_time": now,
        }
        if fault is Fault.NO_NONCE:
            del claims["nonce"]
        headers = {"kid": "second" if fault is Fault.UNKNOWN_KEY else "first"}
        if fault is Fault.GARBAGE:
            return "not.a.token"
        if fault is Fault.UNSIGNED:
            return jwt.encode(claims, "", algorithm="none", headers=headers)
        if fault is Fault.SIGNED_BY_PUBLIC_KEY:
            # The confusion of algorithms: a public key, taken for a shared secret.
            parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT", **headers}, claims)]
            public = json.dumps(self.keys()).encode()
            mac = hmac.new(public, ".".join(parts).encode(), hashlib.sha256).digest()
            return ".".join([*parts, _base64(mac)])
        key = rsa.generate_private_key(65537, 2048) if fault is Fault.SIGNATURE else self._key
        return jwt.encode(claims, key, algorithm="RS256", headers=headers)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _single(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items() if len(values) == 1}


def _handler(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one address after the other
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if provider.fault is Fault.BROKEN and address.path != "/authorize":
                self._answer(500, None)
            elif address.path == "/.well-known/openid-configuration":
                self._answer(200, provider.discovery())
            elif address.path == "/certs":
                self._answer(200, provider.keys())
            elif address.path == "/userinfo":
                kind, _, access = self.headers.get("Authorization", "").partition(" ")
                found = provider.userinfo(access) if kind == "Bearer" else None
                self._answer(401 if found is None else 200, found)
            elif address.path == "/authorize":
                place = provider.authorize(_single(address.query))
                self._answer(400 if place is None else 302, None, place)
            else:
                self._answer(404, None)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            form = _single(self.rfile.read(min(length, MOST_BYTES)).decode())
            client = (form.get("client_id", ""), form.get("client_secret", ""))
            kind, _, both = self.headers.get("Authorization", "").partition(" ")
            if kind == "Basic":
                name, _, secret = base64.b64decode(both).decode().partition(":")
                client = (name, secret)
            answer = provider.token(form, client) if self.path == "/token" else None
            self._answer(400 if answer is None else 200, answer)

        def _answer(self, status: int, body: dict[str, object] | None, place: str | None = None) -> None:
            content = json.dumps(body or {}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if place is not None:
                self.send_header("Location", place)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that it has
            pass

    return Handler

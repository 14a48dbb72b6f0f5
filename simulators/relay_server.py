"""A simulated relay: a real HTTP server on loopback that answers as xDrip+ or Nightscout document it.

It holds simulated glucose values and gives them in the one format or the other, with faults as knobs. Everything it
was asked is kept for whoever wants to look.

Sources: xDrip+ documentation, "Local Web Services", and its `XdripWebService` (bare line feeds, HTTP/1.0, 403);
Nightscout's `/api/v1/entries.json` (newest first, ten unless `count` says otherwise, four days unless `find` does).
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from devices.relay_address import RelayForm

HOST: Final = "127.0.0.1"
_PATHS: Final = {RelayForm.XDRIP: "/sgv.json", RelayForm.NIGHTSCOUT: "/api/v1/entries.json"}
_FOUR_DAYS_MS: Final = 4 * 86_400_000
_LOOPS_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedValue:
    """One value that a simulated sensor gave.

    Attributes:
        at: ms UTC, by the telephone's clock.
        sgv: mg/dL, or a sensor's code.
        kind: "sgv", "mbg" or "cal".
        noise: 1 clean to 4 heavy.
        device: what the app calls the sensor.
    """

    at: int
    sgv: float
    kind: str = "sgv"
    noise: int = 1
    device: str = "simulated CGM"


@dataclass(slots=True, kw_only=True)
class RelayFaults:
    """What goes wrong; everything else goes as documented.

    Attributes:
        status: answer with this HTTP status instead.
        location: where a redirection leads.
        body: answer these bytes instead.
        cut: close the connection after half of the body.
        silent: take the question and answer nothing.
        drip: send the body so slowly that it never ends.
        chunked: send the body in chunks (HTTP/1.1), which is no fault.
        double: give every entry twice.
        oldest_first: give the entries in the order of their dates.
        heedless: do not heed `find`.
        times: how many questions `status` answers; None: all.
    """

    status: int | None = None
    location: str | None = None
    body: bytes | None = None
    cut: bool = False
    silent: bool = False
    drip: bool = False
    chunked: bool = False
    double: bool = False
    oldest_first: bool = False
    heedless: bool = False
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question.

    Attributes:
        path: without query.
        query: first value of each name.
        secret: the `api-secret` header.
    """

    path: str
    query: dict[str, str]
    secret: str | None


@dataclass(slots=True, kw_only=True)
class RelayServer:
    """A relay on a free port of loopback, from `start` or `with` on until `close`.

    Attributes:
        form: which format it speaks.
        secret: the API secret that it asks for; None: none.
        token: the access token that it takes instead (Nightscout only).
        now: answers the telephone's time, ms UTC.
        values: what its sensor gave.
        faults: what goes wrong.
        asked: what it was asked.
    """

    form: RelayForm
    secret: str | None = None
    token: str | None = None
    now: Callable[[], int] = lambda: int(datetime.now(UTC).timestamp() * 1000)
    values: list[SimulatedValue] = field(default_factory=list)
    faults: RelayFaults = field(default_factory=RelayFaults)
    asked: list[Asked] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None
    _closing: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """TCP port; the same after `close` and `start`."""
        return self._server.server_port if self._server is not None else 0

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://{HOST}:{self.port}{_PATHS[self.form]}"

    def start(self, port: int = 0) -> None:
        """Answer from now on; `port` 0: a free one."""
        self._closing.clear()
        self._server = _Server((HOST, port), type("Handler", (_Handler,), {"relay": self}))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOPS_S,), name="simulated relay", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._closing.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def wait_closing(self, seconds: float | None = None) -> bool:
        """Wait until `close`, at most so long; return whether it came."""
        return self._closing.wait(seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Answers

    def lets_in(self, asked: Asked) -> bool:
        """Return whether a question shows what it must."""
        expected = None if self.secret is None else sha1(self.secret.encode(), usedforsecurity=False).hexdigest()
        if self.form is RelayForm.XDRIP:
            # xDrip+ also turns away who shows a secret where none is set.
            return (asked.secret or "").lower() == (expected or "")
        if expected is None and self.token is None:
            return True
        by_secret = expected is not None and asked.secret == expected
        return by_secret or (self.token is not None and asked.query.get("token") == self.token)

    def entries(self, asked: Asked) -> list[dict[str, Any]]:
        """Return the entries that answer a question, newest first unless a fault says otherwise."""
        chosen = sorted(self.values, key=lambda value: value.at, reverse=True)
        if self.form is RelayForm.XDRIP:
            count = min(max(int(asked.query.get("count", "24")), 1), 1000)
            chosen = [value for value in chosen if value.kind == "sgv"][:count]
        else:
            chosen = [value for value in chosen if self._found(value.at, asked.query)]
            chosen = chosen[: int(asked.query.get("count", "10"))]
        if self.faults.oldest_first:
            chosen.reverse()
        written = [self._xdrip(value) if self.form is RelayForm.XDRIP else self._nightscout(value) for value in chosen]
        if written and self.form is RelayForm.XDRIP:
            written[0]["units_hint"] = "mmol"
        return [entry for entry in written for _ in range(2 if self.faults.double else 1)]

    def _found(self, at: int, query: dict[str, str]) -> bool:
        if self.faults.heedless:
            return True
        low, high = query.get("find[date][$gte]"), query.get("find[date][$lte]")
        if low is None and high is None:
            return at >= self.now() - _FOUR_DAYS_MS
        return (low is None or at >= int(low)) and (high is None or at <= int(high))

    def _xdrip(self, value: SimulatedValue) -> dict[str, Any]:
        name = sha1(f"{value.at}".encode(), usedforsecurity=False).hexdigest()
        text = datetime.fromtimestamp(value.at / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        return {
            "_id": f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:32]}",
            "device": value.device,
            "dateString": text,
            "sysTime": text,
            "date": value.at,
            "sgv": value.sgv,
            "delta": 0.5,
            "direction": "Flat",
            "noise": value.noise,
            "filtered": 0,
            "unfiltered": 0,
            "rssi": 100,
            "type": "sgv",
        }

    def _nightscout(self, value: SimulatedValue) -> dict[str, Any]:
        text = datetime.fromtimestamp(value.at / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "_id": sha1(f"{value.kind}{value.at}".encode(), usedforsecurity=False).hexdigest()[:24],
            "device": value.device,
            "date": value.at,
            "dateString": text,
            value.kind: value.sgv,
            "direction": "Flat",
            "type": value.kind,
            "noise": value.noise,
            "utcOffset": 0,
            "sysTime": text,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 as in the standard library
        """Say nothing of a client that has hung up: tests do that."""


class _Handler(BaseHTTPRequestHandler):
    relay: RelayServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one question and hang up."""
        self.close_connection = True
        relay, faults = self.relay, self.relay.faults
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked(path=parts.path, query=query, secret=self.headers.get("api-secret"))
        relay.asked.append(asked)
        if faults.silent:
            relay.wait_closing()
            return
        if parts.path != _PATHS[relay.form]:
            self._send(404, b"Path not found\r\n", "text/plain")
        elif not relay.lets_in(asked):
            self._turn_away()
        elif faults.status is not None and (faults.times is None or len(relay.asked) <= faults.times):
            self._send(faults.status, b"", "text/plain")
        else:
            body = json.dumps(relay.entries(asked)).encode() if faults.body is None else faults.body
            self._send(200, body, "application/json")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as in the standard library
        """Write nothing: a test's output is its own."""

    def _turn_away(self) -> None:
        if self.relay.form is RelayForm.XDRIP:
            self._send(403, b"Authentication failed - check api-secret\n", "text/plain")
        else:
            body = json.dumps({"status": 401, "message": "Unauthorized", "description": "Invalid/Missing"})
            self._send(401, body.encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        faults = self.relay.faults
        plain = self.relay.form is RelayForm.XDRIP and not faults.chunked
        lines = [f"HTTP/1.{0 if plain else 1} {status} OK", f"Content-Type: {kind}"]
        if faults.location is not None:
            lines.append(f"Location: {faults.location}")
        lines.append("Transfer-Encoding: chunked" if faults.chunked else f"Content-Length: {len(body)}")
        end = "\n" if plain else "\r\n"
        self.wfile.write(end.join((*lines, "", "")).encode("ascii"))
        if faults.cut:
            self.wfile.write(body[: len(body) // 2])
        elif faults.drip:
            self._drip(body)
        elif faults.chunked:
            half = len(body) // 2
            for piece in (piece for piece in (body[:half], body[half:]) if piece):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes) -> None:
        for byte in body[:-1]:
            self.wfile.write(bytes((byte,)))
            if self.relay.wait_closing(_LOOPS_S):
                return
        self.relay.wait_closing()

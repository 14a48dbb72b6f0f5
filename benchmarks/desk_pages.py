"""The desk as its readers meet it: its worklist, a patient's page, and how soon an open browser shows a new alert.

A team with 200 alerts that wait, and a patient with 104 days of a glucose sensor (a page of 90 days looks back 14
more), on both engines. The server is the desk's own, a process on loopback; whoever asks are processes beside it, on
the same processors, each over one connection that it keeps. The browser is a real Chromium on the open worklist:
counted is from the commit of a new alert, stored as the inbox stores it, until the page says that something is new.

DESK_ENGINES=sqlite,postgresql and DESK_SHOWN=100 by default; DESK_SHOWN=0 leaves the browser out.
"""

import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.desk_worklist import DAY, begin, database, fill, raised
from benchmarks.figure import quantile, say
from coordination.bulk_rows import insert
from coordination.database import Moment
from coordination.observation_rows import COLUMNS, OTHERS_WORDS
from coordination.place import Place
from coordination.sql import Sql
from coordination.sql_database import SqlDatabase
from coordination.team_database import connect, transaction
from devices.clock import SystemClock
from exchange.messages import SCHEMA
from exchange.sealing import CONTENT_TYPE, LANE_ALERTS, VERSION, Header, Opened
from simulators.broker import free_port
from simulators.desk_visit import reach_desk

ENGINES = tuple(os.environ.get("DESK_ENGINES", "sqlite,postgresql").split(","))
SHOWN = int(os.environ.get("DESK_SHOWN", "100"))
WAITING, DAYS, STEP = 200, 104, 300_000
ADDRESS, PASSWORD = "nurse@example.org", "laid-open-for-one-measurement"
PATIENT = "patient-00001"
PAGES = {
    "worklist of 200": "/alertes",
    "patient, 90 days of CGM": f"/patients/{PATIENT}?jours=90",
    "patient, 14 days of CGM": f"/patients/{PATIENT}",
}
READERS = (1, 4)
ASKED_S = float(os.environ.get("DESK_S", "15"))
SECONDS = 1000


def wear_sensor(connection: Sql, now: int) -> None:
    """Let patient 1 have worn a sensor, without a gap."""
    with transaction(connection):
        connection.execute(
            "INSERT INTO device (box_id, name, first_data_at, last_data_at) VALUES (1, 'C4:B0:00:00:00:01', ?, ?)",
            (now - DAYS * DAY, now),
        )
        (device,) = connection.execute("SELECT id FROM device").fetchone()
        times = range(now - DAYS * DAY, now, STEP)
        rows = [
            (
                1, 1, "0" * 32, number, device, "glucose_interstitial", 600 + (number * 7919) % 1400, "mg/dL", "valid",
                at, "trusted", at + 800, at + 900, str(at), 0, "device", None, "mg/dL", None, b"",
            )
            for number, at in enumerate(times)
        ]  # fmt: skip
        insert(connection, "observation", COLUMNS, rows, others_words=OTHERS_WORDS)


def _serve(place: Place, port: int) -> None:
    begin(place)
    from coordination.desk.serving import open_account, serve_until_told  # noqa: PLC0415 - an extra

    open_account(ADDRESS, name="C. Martin", password=PASSWORD, roles=("nurse",), team=1, by="benchmarks")
    serve_until_told("127.0.0.1", port)


@contextmanager
def served(place: Place) -> Iterator[tuple[int, int]]:
    """Serve a desk while the block lasts; yield its port and its process."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(place, port))
    process.start()
    try:
        reach_desk(f"http://127.0.0.1:{port}")
        if process.pid is None:
            raise RuntimeError("the desk did not start")
        yield port, process.pid
    finally:
        process.terminate()
        process.join()


def signed_in(port: int) -> str:
    """Return the cookies of somebody who has signed in."""
    line = HTTPConnection("127.0.0.1", port)
    line.request("GET", "/compte/login/")
    answer = line.getresponse()
    cookies = _cookies(answer.headers.get_all("Set-Cookie"))
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.read().decode())
    if token is None:
        raise RuntimeError("there is no form to sign in")
    form = urlencode({"csrfmiddlewaretoken": token[1], "login": ADDRESS, "password": PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "; ".join(cookies)}
    line.request("POST", "/compte/login/", form, headers | {"Referer": f"http://127.0.0.1:{port}/compte/login/"})
    answer = line.getresponse()
    answer.read()
    if answer.status != 302:
        raise RuntimeError(f"nobody was let in: {answer.status}")
    return "; ".join(_cookies(answer.headers.get_all("Set-Cookie")))


def _cookies(said: list[str] | None) -> list[str]:
    return [one.partition(";")[0] for one in said or ()]


def ask(port: int, cookies: str, address: str, seconds: float) -> tuple[list[float], int]:
    """Ask for a page again and again; return how long each took (ms), and its bytes."""
    line, took, size = HTTPConnection("127.0.0.1", port), list[float](), 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        line.request("GET", address, headers={"Cookie": cookies})
        answer = line.getresponse()
        size = len(answer.read())
        took.append(SECONDS * (time.perf_counter() - began))
        if answer.status != 200:
            raise RuntimeError(f"{address}: {answer.status}")
    return took, size


def resident(pid: int) -> float:
    """Return the memory of a process that is resident, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return round(int(found[1]) / 1024, 1) if found else 0.0


def pages(port: int, pid: int, cookies: str, engine: str) -> None:
    """Print how fast each page comes, to one reader and to several at once."""
    for name, address in PAGES.items():
        ask(port, cookies, address, 1.0)
        for readers in READERS:
            with ProcessPoolExecutor(readers) as pool:
                began = time.perf_counter()
                work = [pool.submit(ask, port, cookies, address, ASKED_S) for _ in range(readers)]
                found = [one.result() for one in work]
                lasted = time.perf_counter() - began
            took = [one for each, _ in found for one in each]
            say(
                f"desk, {name}", "ms", took, p95=round(quantile(took, 0.95), 1), readers=readers, engine=engine,
                requests_a_second=round(len(took) / lasted, 1), bytes=found[0][1], resident_mib=resident(pid),
            )  # fmt: skip


_HEARD = """() => new Promise(heard => {
    const news = document.getElementById("news");
    const look = () => { if (!news.hidden) heard(performance.timeOrigin + performance.now()); };
    new MutationObserver(look).observe(news, {attributes: true});
    look();
})"""


def shown(place: Place, port: int, cookies: str, engine: str) -> None:
    """Print how soon an open page says that there is a new alert."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the development tools

    from simulators.chromium import find_chromium  # noqa: PLC0415

    store, took, now = SqlDatabase(place), list[float](), SystemClock().now_ms()
    with sync_playwright() as playwright:
        chromium = find_chromium()
        browser = playwright.chromium.launch(
            executable_path=chromium.binary,
            args=[*chromium.arguments(), "--disable-gpu"],
            env=dict(chromium.environment()),
        )
        context = browser.new_context(locale="fr-FR")
        for cookie in cookies.split("; "):
            name, _, value = cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}])
        page = context.new_page()
        for number in range(SHOWN + 1):
            # Connected, and not in step with what looks four times a second.
            with page.expect_response(lambda answer: "/evenements" in answer.url):
                page.goto(f"http://127.0.0.1:{port}/alertes")
            page.wait_for_timeout(600 + 37 * (number % 7))
            page.evaluate(f"void (window.shownAt = ({_HEARD})())")
            store.store([_raised(number, now)], moment=Moment(at=now), receipt_at=now, sign=lambda _: b"")
            committed = SECONDS * time.time()
            took.append(float(page.evaluate("window.shownAt")) - committed)
        browser.close()
    store.close()
    # The first is of a page that nobody had opened before.
    say("desk, alert committed to shown in an open browser", "ms", took[1:], engine=engine)


def _raised(number: int, now: int) -> Opened:
    """The next envelope of the first box: one alert."""
    header = Header(
        v=VERSION, box="box-00001", epoch="1" * 32, first=number, last=number, lane=LANE_ALERTS, created=now,
        signer="0" * 16, recipients=("0" * 16,), content_type=CONTENT_TYPE, schema=SCHEMA,
    )  # fmt: skip
    return Opened(header=header, records=(raised(1, f"rule_{number}", now),))


def figures() -> None:
    for engine in ENGINES:
        with database(postgresql=engine == "postgresql") as place:
            connection, now = connect(place), SystemClock().now_ms()
            fill(connection, 10 * WAITING, WAITING, now)
            wear_sensor(connection, now)
            connection.close()
            with served(place) as (port, pid):
                cookies = signed_in(port)
                pages(port, pid, cookies, engine)
                if SHOWN:
                    shown(place, port, cookies, engine)

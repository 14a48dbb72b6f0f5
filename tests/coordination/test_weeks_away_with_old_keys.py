"""A box that was away for weeks comes back with other keys: what it kept reaches the team, no thief's word does.

The real box as a process, its real database, the enrolment office, a real mosquitto with the shipped rules, the inbox.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.enrolled_box import Places
from agent.key_places import make_kek_file, open_vault
from agent.own_signers import own_signers
from agent.settings import Settings as BoxSettings
from agent.settings_file import read_settings
from agent.store import Arrival, Store
from coordination.enrolments import Known
from coordination.office import now_ms
from coordination.revoking import revoke_at_inbox
from exchange.identity import Recipient, RecipientRole, SigningKey
from exchange.link import Link
from exchange.sealing import Sealer
from exchange.topics import OBSERVATIONS, topic
from simulators.broker import Broker
from simulators.processes import command
from tests.agent.kit import MINUTE, START, glucose
from tests.coordination.enrolment_kit import PATIENCE_S, Desk, NewBox, join, until
from tests.coordination.kit import rows
from tests.coordination.test_revoking import files_of, inbox_running, link_settings, sealed

pytestmark = [pytest.mark.broker, pytest.mark.process]

DAY = 86_400_000
AWAY = 60
"""Days."""
WAIT = "SELECT count(*) FROM outbox WHERE receipted_at IS NULL"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture
def desk(broker: Broker, tmp_path: Path) -> Desk:
    return Desk(
        tmp_path / "desk",
        broker_port=broker.port,
        reload=("kill", "-HUP", str(broker.pid)),
        acl=broker.log.parent / "acl",
        authority_folder=broker.certificates.authority.ca.parent,
    )


def key_of(box: NewBox) -> SigningKey:
    return SigningKey.load(box.places.signing_key)


def settings_of(box: NewBox) -> BoxSettings:
    settings = read_settings(box.config)
    assert settings.vault.key_file is not None
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_kek_file(settings.vault.key_file, database=settings.database)
    return settings


def measure(desk: Desk, box: NewBox, days: range, *, ahead_ms: int = 0) -> None:
    """Keep two readings a day under the key that the box has, as its pipeline does; `ahead_ms`: by its clock."""
    settings, key = settings_of(box), key_of(box)
    own_signers(settings.state, key.public)  # as at each start
    sealer = Sealer(box=settings.box, signing_key=key, recipients=[Recipient.of(desk.opening, RecipientRole.TEAM)])
    patient = settings.patients[0].pseudonym
    store = Store(settings.database, open_vault(settings), now_ms=START)
    for day in days:
        readings = [glucose("100", day * 1440 + half * 720) for half in range(2)]
        at = START + day * DAY + ahead_ms
        store.accept([Arrival(patient=patient, reading=reading) for reading in readings], sealer, now_ms=at)
    store.close()


async def enrol_anew(desk: Desk, box: NewBox) -> None:
    """`veilleur enrol --new-keys`, with the nurse's yes."""
    places = Places.of(read_settings(box.config), box.config)
    places.set_keys_aside()
    async with desk.open_office():
        joining = asyncio.create_task(box.enrol(desk.code(settings_of_name(box)), places=places))
        claim = await desk.nurse()
        await joining
    assert claim.known in {Known.OTHER, Known.NEW}


def settings_of_name(box: NewBox) -> str:
    return read_settings(box.config).box


@contextlib.asynccontextmanager
async def box_running(box: NewBox) -> AsyncIterator["asyncio.subprocess.Process"]:
    log = (box.folder / "log").open("ab")
    process = await asyncio.create_subprocess_exec(
        command("veilleur"), "run", "--config", str(box.config), stderr=log, env=dict(os.environ)
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
        log.close()


def minutes_at_team(desk: Desk) -> list[int]:
    found = rows(desk.folder / "desk.db", "SELECT t FROM observation ORDER BY t")
    return [(int(str(at)) - START) // MINUTE for (at,) in found]


def expected(days: range) -> list[int]:
    return [day * 1440 + half * 720 for day in days for half in range(2)]


async def everything_received(box: NewBox) -> None:
    database = read_settings(box.config).database
    await until(lambda: rows(database, WAIT) == [(0,)])


async def test_sixty_days_offline_and_two_new_signing_keys_lose_nothing_and_a_thief_says_nothing(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    name = "box-0071"
    box = NewBox(tmp_path / "box")
    async with desk.open_office():
        await join(desk, box, desk.code(name))
    first = key_of(box)
    # The clock runs a year ahead for a while: what an envelope says of its time decides nothing.
    measure(desk, box, range(20), ahead_ms=365 * DAY)
    await enrol_anew(desk, box)
    measure(desk, box, range(20, 40))
    await enrol_anew(desk, box)
    measure(desk, box, range(40, AWAY))
    assert key_of(box).id != first.id
    async with inbox_running(desk, broker, name):
        async with box_running(box) as process:
            async with asyncio.timeout(PATIENCE_S):
                await until(lambda: minutes_at_team(desk) == expected(range(AWAY)))
                await everything_received(box)
            assert process.returncode is None
        assert rows(desk.folder / "desk.db", "SELECT count(*) FROM declared_gap") == [(0,)]
        # A thief who has the first key, and by whatever means a way to the broker as this box.
        before = minutes_at_team(desk)
        async with Link(link_settings(broker, files_of(box), name)) as link:
            async with asyncio.timeout(PATIENCE_S):
                await link.wait_connected()
                for number in (0, 5000):
                    await link.publish(topic(name, OBSERVATIONS), sealed(desk, name, first, number))
                # Of this box: what the broker retains of the boxes of other tests, this team knows no key of.
                query = f"SELECT count FROM inbox_dead_letter WHERE reason = 'signer' AND box = '{name}'"
                await until(lambda: rows(desk.folder / "desk.db", query) == [(1,), (1,)])
        assert minutes_at_team(desk) == before


async def test_of_a_revoked_key_nothing_comes_and_the_team_sees_what_is_missing(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    name = "box-0072"
    box = NewBox(tmp_path / "box")
    async with desk.open_office():
        await join(desk, box, desk.code(name))
    measure(desk, box, range(5))
    revoke_at_inbox(desk.folder / "desk.db", name, listed={}, reason="volé", at=now_ms())
    await enrol_anew(desk, box)
    measure(desk, box, range(5, 10))
    async with inbox_running(desk, broker, name), box_running(box):
        async with asyncio.timeout(PATIENCE_S):
            await everything_received(box)
            await until(lambda: minutes_at_team(desk) == expected(range(5, 10)))
        gaps = rows(desk.folder / "desk.db", "SELECT sum(readings), min(first), max(last), reason FROM declared_gap")
        assert gaps == [(10, 0, 9, "withdrawn")], "declared, so that nobody waits for them"


async def test_a_box_that_is_started_between_its_new_keys_and_the_nurses_yes_gives_nothing_up(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    name = "box-0073"
    box = NewBox(tmp_path / "box")
    async with desk.open_office():
        await join(desk, box, desk.code(name))
    measure(desk, box, range(3))
    places = Places.of(read_settings(box.config), box.config)
    places.set_keys_aside()
    new = places.born().signing
    database = read_settings(box.config).database
    async with inbox_running(desk, broker, name):
        async with box_running(box):
            # It has its certificate no more for this key: it keeps, and says what it is by a key that nobody knows.
            await until(lambda: new.public.hex() in (read_settings(box.config).state / "signers").read_text())
            await until(lambda: b"event=ready" in (box.folder / "log").read_bytes())
        assert rows(database, f"{WAIT} AND lane = 1 AND last - first = 1") == [(3,)]
        assert rows(database, "SELECT count(*) FROM unsendable") == [(0,)]
        async with desk.open_office():
            joining = asyncio.create_task(box.enrol(desk.code(name), places=places))
            await desk.nurse()
            await joining
        async with box_running(box), asyncio.timeout(PATIENCE_S):
            await until(lambda: minutes_at_team(desk) == expected(range(3)))

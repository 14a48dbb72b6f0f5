"""A box's certificate: renewed at a third of its life, while the box runs, and by nobody else."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.enrolling import renew
from agent.enrolment_errors import EnrolmentFailedError
from agent.obeying import Order
from agent.renewal import Renewal, lateness
from agent.settings import BrokerSettings, Settings
from agent.settings_file import read_settings
from agent.technical import TechnicalAlerts
from coordination.box_identity import keep_certificate
from coordination.enrolments import RENEWALS
from coordination.office import now_ms
from coordination.requests import make_command
from coordination.revoking import revoke_at_inbox
from coordination.team_database import connect, transaction
from devices.source import DeviceEvent, DeviceEventKind
from exchange.certificates import Certificate
from exchange.command_bodies import NoBody
from exchange.commands import AUTOMATION, CommandKind, Signatory
from exchange.connection import LinkSettings
from exchange.enrolment import Reason
from exchange.errors import IdentityError
from exchange.identity import SigningKey, TlsKey
from exchange.link import Link
from simulators.broker import Broker
from tests.coordination.enrolment_kit import BOX, PATIENCE_S, Desk, NewBox, join, reason_of, until
from tests.coordination.kit import rows
from tests.coordination.test_revoking import inbox_running
from tests.coordination.test_weeks_away_with_old_keys import box_running

DAY = timedelta(days=1)
THIRD_OVER = timedelta(minutes=25)
"""Backdated by an hour, a certificate of this life has passed a third of it when it is issued."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


async def enrolled(desk: Desk, folder: Path, *, lifetime: timedelta = timedelta(days=90)) -> Settings:
    box = NewBox(folder)
    async with desk.open_office(lifetime=lifetime):
        await join(desk, box, desk.code())
    return read_settings(box.config)


def renewal(settings: Settings, renewed: "asyncio.Event | None" = None, **other: Any) -> Renewal:
    assert settings.enrolment is not None

    async def tell() -> None:
        if renewed is not None:
            renewed.set()

    return Renewal(
        broker=settings.broker,
        office=settings.enrolment,
        signing_key=SigningKey.load(settings.identity.signing_key),
        renewed=tell,
        **other,
    )


def held(settings: Settings) -> Certificate:
    return Certificate.load(settings.broker.certificate)


def renewing(settings: Settings, **changes: object) -> "asyncio.Future[bytes]":
    assert settings.enrolment is not None
    arguments: dict[str, object] = {
        "host": settings.enrolment.host,
        "port": settings.enrolment.port,
        "ca": settings.broker.ca,
        "certificate": settings.broker.certificate,
        "key": settings.broker.key,
        "signing": SigningKey.load(settings.identity.signing_key),
        **changes,
    }
    return asyncio.ensure_future(renew(**arguments))  # type: ignore[arg-type]


async def test_a_certificate_of_90_days_is_renewed_after_30(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    days = (held(settings).renew_at - now_ms()) / DAY.total_seconds() / 1000
    assert 29.9 < days < 30.0
    assert not await renewal(settings).renew_when_due(), "not before"


async def test_a_third_of_its_life_over_a_certificate_is_renewed_for_the_same_key(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box", lifetime=THIRD_OVER)
    before, key = held(settings), settings.broker.key.read_bytes()
    async with desk.open_office():
        assert await renewal(settings).renew_when_due()
    after = held(settings)
    assert after.name == before.name
    assert after.serial != before.serial
    assert after.not_after - now_ms() > timedelta(days=89).total_seconds() * 1000
    assert settings.broker.key.read_bytes() == key
    context = ssl.create_default_context(cafile=settings.broker.ca)
    context.load_cert_chain(settings.broker.certificate, settings.broker.key)


async def test_asked_twice_after_a_power_cut_the_same_certificate_comes(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    async with desk.open_office():
        first = await renewing(settings)
        assert await renewing(settings) == first, "the box had not written it"
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_certificate") == [(2,)]


async def test_an_office_that_is_away_is_asked_again_and_the_old_certificate_stays(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box", lifetime=THIRD_OVER)
    before = held(settings)
    renewed = asyncio.Event()
    work = asyncio.create_task(renewal(settings, renewed, first_pause_s=0.05).run())
    with pytest.raises(EnrolmentFailedError, match="does not answer"):
        await renewal(settings).renew_when_due()
    assert held(settings) == before
    async with desk.open_office():
        async with asyncio.timeout(PATIENCE_S):
            await renewed.wait()
    assert held(settings).serial != before.serial
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (0, []),
        (30, []),
        (37.4, []),
        (37.6, ["certificate_late"]),
        (74.9, ["certificate_late"]),
        (75, ["certificate_late", "certificate_ending"]),
        (400, ["certificate_late", "certificate_ending"]),
    ],
)
def test_a_renewal_that_fails_is_told_after_a_week_and_with_high_priority_before_the_end(
    days: float, told: list[str]
) -> None:
    certificate = Certificate(name=BOX, serial="1", not_before=0, not_after=90 * 86_400_000, public=b"")
    assert list(lateness(certificate, now_ms=int(days * 86_400_000))) == told


def overdue(settings: Settings, desk: Desk, *, left: timedelta) -> None:
    """Give the box a certificate of a day of life in all, of which only so much is left."""
    key = TlsKey.load(settings.broker.key)
    at = now_ms() - int((DAY - left).total_seconds() * 1000) + 3_600_000
    old = desk.authority.box(key.csr(BOX), BOX, at=at, lifetime=DAY - timedelta(hours=1))
    with contextlib.closing(connect(desk.folder / "desk.db")) as connection, transaction(connection):
        keep_certificate(connection, old, at=at)
    settings.broker.certificate.write_bytes(old.pem)


async def test_a_certificate_that_is_not_renewed_is_an_alert_until_it_is(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    overdue(settings, desk, left=timedelta(hours=2))
    standing = TechnicalAlerts(BOX)
    said: list[tuple[str, str]] = []
    renewed = asyncio.Event()

    def notice(kind: DeviceEventKind) -> None:
        event = DeviceEvent(kind=kind, device=BOX, at=now_ms())
        said.extend((change.rule, change.kind.value) for change in standing.event(BOX, event))

    work = asyncio.create_task(renewal(settings, renewed, notice=notice, first_pause_s=0.05).run())
    await until(lambda: len(said) == 2)
    assert said == [("certificate_late", "raised"), ("certificate_ending", "raised")]
    async with desk.open_office():
        await until(renewed.is_set)
        await until(lambda: len(said) > 2)
    assert set(said[2:]) == {("certificate_late", "resolved"), ("certificate_ending", "resolved")}
    assert len(said) == 4, "once, however often it was tried"
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_an_alert_of_before_a_restart_ends_when_the_box_was_enrolled_anew(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    said: list[DeviceEventKind] = []
    work = asyncio.create_task(renewal(settings, notice=said.append, look_s=0.01).run())
    await until(lambda: bool(said))
    looks = 0

    def looked() -> bool:
        nonlocal looks
        looks += 1
        return looks > 10

    await until(looked)
    assert said == [DeviceEventKind.CERTIFICATE_RENEWED], "once"
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_a_stolen_tls_key_alone_renews_nothing(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    async with desk.open_office():
        with pytest.raises(EnrolmentFailedError) as caught:
            await renewing(settings, signing=SigningKey.generate())
    assert reason_of(caught.value) is Reason.CERTIFICATE


async def test_a_stolen_signing_key_alone_renews_nothing(desk: Desk, tmp_path: Path) -> None:
    """Another machine with a certificate of its own, and the signing key of this one."""
    settings = await enrolled(desk, tmp_path / "box")
    other = NewBox(tmp_path / "other")
    async with desk.open_office():
        await join(desk, other, desk.code("box-0008"))
        theirs = read_settings(other.config)
        with pytest.raises(EnrolmentFailedError) as caught:
            await renewing(theirs, signing=SigningKey.load(settings.identity.signing_key))
    assert reason_of(caught.value) is Reason.CERTIFICATE


async def test_a_revoked_box_renews_nothing(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    revoke_at_inbox(desk.folder / "desk.db", BOX, listed={}, reason="stolen", at=now_ms())
    async with desk.open_office():
        with pytest.raises(EnrolmentFailedError) as caught:
            await renewing(settings)
    assert reason_of(caught.value) is Reason.CERTIFICATE
    assert "nouveau code" in caught.value.hint.fr


async def test_a_certificate_that_the_team_did_not_issue_renews_nothing(desk: Desk, tmp_path: Path) -> None:
    """It is of the team's CA, but the database does not know it: made by hand, or before a backup was restored."""
    settings = await enrolled(desk, tmp_path / "box")
    key = TlsKey.load(settings.broker.key)
    settings.broker.certificate.write_bytes(desk.authority.box(key.csr(BOX), BOX, at=now_ms()).pem)
    async with desk.open_office():
        with pytest.raises(EnrolmentFailedError) as caught:
            await renewing(settings)
    assert reason_of(caught.value) is Reason.CERTIFICATE


async def test_a_certificate_that_has_ended_renews_nothing_and_a_new_code_does(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    key = TlsKey.load(settings.broker.key)
    ended = desk.authority.box(key.csr(BOX), BOX, at=now_ms() - 86_400_000, lifetime=timedelta(hours=1))
    with contextlib.closing(connect(desk.folder / "desk.db")) as connection, transaction(connection):
        keep_certificate(connection, ended, at=now_ms())
    settings.broker.certificate.write_bytes(ended.pem)
    async with desk.open_office():
        with pytest.raises(EnrolmentFailedError) as caught:
            await renewing(settings)
        assert isinstance(caught.value.__cause__, OSError), "OpenSSL refused before a byte was read"
        box = NewBox(tmp_path / "box")
        joining = asyncio.create_task(box.enrol(desk.code()))
        claim = await desk.nurse()
        await joining
    assert claim.known == "same"
    assert held(settings).not_after > now_ms()


async def test_a_box_does_not_renew_without_end(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    async with desk.open_office():
        for _ in range(RENEWALS - 1):
            settings.broker.certificate.write_bytes(await renewing(settings))
        with pytest.raises(EnrolmentFailedError) as caught:
            await renewing(settings)
    assert reason_of(caught.value) is Reason.TOO_MANY


@pytest.mark.parametrize("what", ["other_box", "other_key", "other_ca"])
async def test_a_certificate_that_is_not_for_this_box_is_not_put_in_its_place(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    settings = await enrolled(desk, tmp_path / "box", lifetime=THIRD_OVER)
    before = held(settings)
    key = TlsKey.load(settings.broker.key)
    foreign = {
        "other_box": lambda: desk.authority.box(key.csr("box-0009"), "box-0009", at=now_ms()),
        "other_key": lambda: desk.authority.box(TlsKey.generate().csr(BOX), BOX, at=now_ms()),
        "other_ca": lambda: Desk(tmp_path / "others").authority.box(key.csr(BOX), BOX, at=now_ms()),
    }[what]()
    async with desk.open_office():

        async def given(*_: object) -> bytes:
            return foreign.pem

        monkeypatch.setattr("coordination.office.Office._renewed", given)
        with pytest.raises(IdentityError, match="the certificate is"):
            await renewal(settings).renew_when_due()
    assert held(settings) == before


# --- at a real broker ------------------------------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as broker:
        yield broker


@contextlib.asynccontextmanager
async def linked(broker: Broker, files: BrokerSettings) -> AsyncIterator[Link]:
    settings = LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=BOX,
        ca=files.ca,
        certificate=files.certificate,
        key=files.key,
        session_expiry_s=0,
        clean_start=True,
        retry_first_s=0.02,
        retry_cap_s=0.1,
    )
    async with asyncio.timeout(PATIENCE_S), Link(settings) as link:
        await link.wait_connected()
        yield link


@pytest.mark.broker
async def test_the_running_link_takes_up_the_new_certificate(broker: Broker, tmp_path: Path) -> None:
    """No restart: the broker is shown the new certificate by the same link, and the old one may be revoked."""
    desk = Desk(tmp_path / "desk", authority_folder=broker.certificates.authority.ca.parent)
    settings = await enrolled(desk, tmp_path / "box", lifetime=THIRD_OVER)
    before = held(settings)
    async with linked(broker, settings.broker) as link:
        first = link.generation
        assert settings.enrolment is not None
        work = Renewal(
            broker=settings.broker,
            office=settings.enrolment,
            signing_key=SigningKey.load(settings.identity.signing_key),
            renewed=link.reconnect,
        )
        async with desk.open_office():
            running = asyncio.create_task(work.run())
            assert await link.wait_generation_after(first) == first + 1
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        broker.certificates.authority.revoke([before.serial], at=now_ms())
        broker.reload()
        await link.reconnect()
        await link.wait_generation_after(first + 1)
        assert await link.publish(f"veilleur/v1/{BOX}/obs", b"still here") in {0, 16}
    assert held(settings).serial != before.serial
    assert replace(before, serial=held(settings).serial) != held(settings)


@pytest.mark.broker
@pytest.mark.process
async def test_the_team_hears_from_the_box_that_its_certificate_is_not_renewed_and_that_it_is_again(
    broker: Broker, tmp_path: Path
) -> None:
    """The real box and the real inbox; the box is started anew in between, and its alert goes on and ends."""
    desk = Desk(
        tmp_path / "desk",
        broker_port=broker.port,
        authority_folder=broker.certificates.authority.ca.parent,
    )
    settings = await enrolled(desk, tmp_path / "box")
    overdue(settings, desk, left=timedelta(hours=2))
    box = NewBox(tmp_path / "box")

    def standing() -> set[str]:
        query = "SELECT rule_id FROM alert WHERE origin = 'box' AND rule_id LIKE 'certificate%' AND resolved_at IS NULL"
        return {str(rule) for (rule,) in rows(desk.folder / "desk.db", query)}

    async with inbox_running(desk, broker, BOX):
        async with box_running(box):
            await until(lambda: standing() == {"certificate_late", "certificate_ending"})
        async with desk.open_office(), box_running(box):
            await until(lambda: standing() == set())
        assert rows(desk.folder / "desk.db", "SELECT count(*) FROM alert WHERE rule_id LIKE 'certificate%'") == [(2,)]
    assert held(settings).not_after > now_ms() + 80 * 86_400_000


# --- because the team asks ------------------------------------------------------------------------------


def asked() -> Order:
    """An order to renew, as the box obeys it once it is authentic and allowed."""
    command = make_command(CommandKind.RENEW, NoBody(), box=BOX, subject="", now=now_ms())
    by = (Signatory(name="team", power=AUTOMATION),)
    return Order(command=command, body=NoBody(), by=by, at=now_ms())


async def test_a_certificate_that_is_not_due_is_renewed_when_the_team_asks(desk: Desk, tmp_path: Path) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    before, renewed = held(settings), asyncio.Event()
    async with desk.open_office():
        done = await renewal(settings, renewed).obey(asked())
    assert done.went_well
    assert held(settings).serial != before.serial
    assert renewed.is_set()
    assert "Certificat jusqu'au" in done.said[0].fr


async def test_a_renewal_that_nobody_answers_is_refused_in_words_and_changes_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    settings = await enrolled(desk, tmp_path / "box")
    before, renewed = held(settings), asyncio.Event()
    done = await renewal(settings, renewed).obey(asked())
    assert not done.went_well
    assert done.reason == "office"
    assert done.said
    assert held(settings) == before
    assert not renewed.is_set()

"""A box's certificate: renewed at a third of its life, while the box runs, and by nobody else."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.enrolling import renew
from agent.enrolment_errors import EnrolmentFailedError
from agent.renewal import Renewal
from agent.settings import BrokerSettings, Settings
from agent.settings_file import read_settings
from coordination.box_identity import keep_certificate
from coordination.enrolments import RENEWALS
from coordination.office import now_ms
from coordination.revoking import revoke_at_inbox
from coordination.team_database import connect, transaction
from exchange.certificates import Certificate
from exchange.connection import LinkSettings
from exchange.enrolment import Reason
from exchange.errors import IdentityError
from exchange.identity import SigningKey, TlsKey
from exchange.link import Link
from simulators.broker import Broker
from tests.coordination.enrolment_kit import BOX, PATIENCE_S, Desk, NewBox, join, reason_of
from tests.coordination.kit import rows

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


def renewal(settings: Settings, renewed: "asyncio.Event | None" = None, **other: float) -> Renewal:
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

"""The inbox takes up the team's new keys while it runs, and goes on with the old ones when the new cannot be read."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordination import inbox, keyring, keys
from coordination.errors import SettingsError
from coordination.keyring_file import NAME, load_root, read_state
from coordination.keys import TeamPrivateKeys, load_keys
from coordination.settings import Settings, read_settings
from exchange.identity import OpeningKey, SigningKey
from exchange.sealing import Sealer, verify_receipt
from exchange.topics import OBSERVATIONS, topic
from tests.coordination.kit import BOX, EPOCH, PATIENT, START, ManualClock, Team, glucose, rows
from tests.coordination.wire import Wire

OBS = topic(BOX, OBSERVATIONS)


class Monthly:
    """A team whose settings name the folder that `veilleur-desk keys` made."""

    def __init__(self, team: Team) -> None:
        self.team, self.folder, self.root_file = team, team.folder / "keys", team.folder / "root.key"
        keyring.create(self.folder, self.root_file, now_ms=START)

    def settings(self) -> Settings:
        path = self.team.write_settings()
        text = path.read_text(encoding="utf-8").replace("'opening.key'", "'keys/opening'")
        path.write_text(text.replace("'receipt.key'", "'keys'"), encoding="utf-8")
        return read_settings(path)

    def rotate(self, **how: bool) -> None:
        keyring.rotate(self.folder, load_root(self.root_file), now_ms=START + 1, **how)

    def seal(self, number: int) -> bytes:
        """Seal as a box does that has the newest list."""
        recipients = read_state(self.folder).team.recipients
        sealer = Sealer(box=BOX, signing_key=self.team.boxes[BOX], recipients=recipients)
        records = [glucose(number, patient=PATIENT)]
        return sealer.seal(epoch=EPOCH, first=number, lane=1, created=START, records=records)

    def believed(self, data: bytes) -> str:
        """Return the id of the key that signed a receipt which a box with the newest list takes."""
        verify_receipt(data, box=BOX, signers=read_state(self.folder).team.signers())
        return data[:8].hex()


@pytest.fixture
def monthly(team: Team) -> Monthly:
    return Monthly(team)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time stands still for who waits before trying again, and moves when told."""
    now = [1000.0]
    monkeypatch.setattr(keys, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


async def test_a_running_inbox_opens_and_receipts_with_each_months_keys_without_a_restart(
    monthly: Monthly, clock: ManualClock
) -> None:
    wire = Wire()
    work = asyncio.create_task(inbox.run(monthly.settings(), clock, link=wire.link))
    try:
        await wire.until(lambda: work.done() or bool(wire.links and len(wire.links[-1].every_topic) == 4))
        backlog = monthly.seal(100)
        in_use = []
        for number in range(4):
            wire.arrives(OBS, monthly.seal(number))
            await wire.until(lambda number=number: len(wire.published) == number + 1)  # type: ignore[misc]
            in_use.append(monthly.believed(wire.published[-1][1]))
            monthly.rotate(hybrid=number >= 1)
        wire.arrives(OBS, backlog)
        await wire.until(lambda: len(wire.published) == 5)
    finally:
        work.cancel()
        await asyncio.wait([work])
    assert len(set(in_use)) == 4
    assert rows(monthly.team.database, "SELECT seq FROM observation ORDER BY seq") == [(0,), (1,), (2,), (3,), (100,)]
    assert rows(monthly.team.database, "SELECT * FROM inbox_dead_letter_count") == []
    assert len(wire.links) == 1


def test_nothing_is_read_again_while_nothing_changes(monthly: Monthly, monkeypatch: pytest.MonkeyPatch) -> None:
    held = TeamPrivateKeys(monthly.settings())

    def never(_: Path) -> OpeningKey:
        raise AssertionError("read again")

    monkeypatch.setattr(OpeningKey, "load", never)
    assert not any(held.renewed() for _ in range(3))


def test_a_key_that_comes_in_the_same_tick_as_another_is_seen(team: Team) -> None:
    folder = team.folder / "opening"
    folder.mkdir(mode=0o700)
    team.opening.save(folder / "a.key")
    path = team.write_settings()
    path.write_text(path.read_text(encoding="utf-8").replace("'opening.key'", "'opening'"), encoding="utf-8")
    held = load_keys(read_settings(path))
    for number in range(20):
        OpeningKey.generate().save(folder / f"{number}.key")
        assert held.renewed()
        assert len(held.opening) == number + 2


def test_new_keys_that_cannot_be_read_are_told_once_and_the_present_ones_go_on(
    monthly: Monthly, unhurried: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    held = TeamPrivateKeys(monthly.settings())
    before = held.opening, held.receipt.id
    caplog.set_level(logging.INFO, logger="coordination.keys")
    intruder = monthly.folder / "opening" / "half-copied.key"
    intruder.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    intruder.chmod(0o600)
    for _ in range(3):
        assert not held.renewed()
        unhurried[0] += 60
    assert (held.opening, held.receipt.id) == before
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    intruder.unlink()
    OpeningKey.generate().save(intruder)
    assert held.renewed()
    assert len(held.opening) == 2


def test_a_fault_that_leaves_no_trace_in_the_folder_is_found_mended_after_a_while(
    monthly: Monthly, unhurried: list[float]
) -> None:
    held = TeamPrivateKeys(monthly.settings())
    new = monthly.folder / "opening" / "new.key"
    OpeningKey.generate().save(new)
    new.chmod(0o644)
    assert not held.renewed()
    new.chmod(0o600)
    assert not held.renewed()
    unhurried[0] += keys.AGAIN_S
    assert held.renewed()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder: [path.unlink() for path in (folder / "opening").iterdir()], "inbox.opening_keys"),
        (lambda folder: (folder / NAME).unlink(), "inbox.receipt_key"),
        (lambda folder: [path.chmod(0o640) for path in (folder / "receipt").iterdir()], "inbox.receipt_key"),
    ],
    ids=["no opening key", "no keyring", "receipt keys that others can read"],
)
def test_at_the_start_what_is_missing_is_said(spoil: object, word: str, monthly: Monthly) -> None:
    assert callable(spoil)
    spoil(monthly.folder)
    with pytest.raises(SettingsError) as caught:
        load_keys(monthly.settings())
    assert [fault.en.split(":")[0] for fault in caught.value.faults] == [word]
    assert [fault.fr.split(" :")[0] for fault in caught.value.faults] == [word]


def test_files_named_one_by_one_serve_as_before(team: Team) -> None:
    held = load_keys(team.settings())
    assert [key.id for key in held.opening] == [team.opening.id]
    assert held.receipt.id == team.receipt.id
    replaced = SigningKey.generate()
    (team.folder / "receipt.key").unlink()
    replaced.save(team.folder / "receipt.key")
    assert held.renewed()
    assert held.receipt.id == replaced.id

"""A box that was away for sixty days, across two rotations of its team's keys, loses nothing and frees nothing early.

The box's real store and the team's real database, both on a disk, the keys made by `veilleur-desk keys`; what the
broker would carry is carried by hand.
"""

from pathlib import Path

import pytest

from agent.settings import IdentitySettings
from agent.store import Store
from agent.team_keeper import TeamKeeper
from coordination import keyring
from coordination.keyring import DAY_MS
from coordination.keyring_file import load_root, signed_list
from coordination.keys import TeamPrivateKeys
from coordination.settings import Settings, read_settings
from devices.source import DeviceEventKind
from exchange.errors import EnvelopeError, ReceiptError
from exchange.sealing import Opener, Sealer, verify_receipt
from tests.agent.kit import arrivals, glucose, open_store
from tests.coordination.kit import BOX, PATIENT, START, Team, rows

DAYS = 62


class Away:
    """A box without a network, and its team that goes on renewing its keys."""

    def __init__(self, folder: Path) -> None:
        self.team = Team(folder)
        self.keys, self.root_file = folder / "keys", folder / "root.key"
        keyring.create(self.keys, self.root_file, now_ms=START)
        self.now = START
        self.told: list[DeviceEventKind] = []
        given = folder / "given"
        given.write_bytes(signed_list(self.keys))
        root = load_root(self.root_file).public.hex()
        identity = IdentitySettings(signing_key=folder / "none", team_keys=given, team_roots=(root,))
        state = folder / "state"
        state.mkdir()
        self.keeper = TeamKeeper(identity, state, now_ms=lambda: self.now, tell=self.told.append)
        self.sealer = Sealer(box=BOX, signing_key=self.team.boxes[BOX], recipients=self.keeper.recipients)
        self.keeper.seals_to(self.sealer.use)
        self.store = open_store(folder / "box.db", now_ms=START)

    def rotate(self) -> None:
        keyring.rotate(self.keys, load_root(self.root_file), now_ms=self.now)

    def settings(self) -> Settings:
        path = self.team.write_settings(patients=((PATIENT, BOX, "2025-01-01T00:00:00Z", "diabetes_cgm"),))
        text = path.read_text(encoding="utf-8").replace("'opening.key'", "'keys/opening'")
        path.write_text(text.replace("'receipt.key'", "'keys'"), encoding="utf-8")
        return read_settings(path)

    def send(self) -> list[bytes]:
        """Everything that waits reaches the team, which stores it; return the receipts."""
        settings = self.settings()
        private = TeamPrivateKeys(settings)
        opener = Opener(keys=private.opening, signer_of=settings.signer_of)
        opened = [opener.open(entry.body, box=BOX) for entry in self.store.waiting(limit=1000)]
        database = self.team.open_database(settings)
        self.team.receipt = private.receipt
        receipts = self.team.store(database, *opened, at=self.now)
        database.close()
        return [receipt.data for receipt in receipts]

    def free(self, receipts: list[bytes]) -> None:
        """Free what waits if the box believes every receipt."""
        for data in receipts:
            for part in verify_receipt(data, box=BOX, signers=self.keeper.signers).epochs:
                self.store.receipted(part, now_ms=self.now)


@pytest.fixture
def away(tmp_path: Path) -> Away:
    return Away(tmp_path)


def test_sixty_days_offline_across_two_rotations_lose_nothing(away: Away) -> None:
    for day in range(DAYS):
        away.now = START + day * DAY_MS
        if day in {30, 60}:
            away.rotate()
        away.keeper.look()
        away.store.accept(arrivals(glucose("104", day * 1440)), away.sealer, now_ms=away.now)
    assert away.told[0] is DeviceEventKind.TEAM_LIST_EXPIRED, "and it went on sealing"
    assert away.store.backlog() == (DAYS, DAYS)

    first = away.send()
    assert first
    with pytest.raises(ReceiptError, match="signer"):
        away.free(first)
    assert away.store.backlog() == (DAYS, DAYS), "receipts by a key that it does not know free nothing"

    away.keeper.accept(signed_list(away.keys))
    away.free(away.send())
    assert away.store.backlog() == (DAYS, 0)
    held = rows(away.team.database, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM observation")
    assert held == [(DAYS, DAYS, 0, DAYS - 1)], "lost 0, duplicated 0"
    assert rows(away.team.database, "SELECT first, last FROM received_range") == [(0, DAYS - 1)], "gaps 0"
    away.store.close()


def test_a_box_one_rotation_behind_frees_what_it_should_before_it_has_the_new_list(away: Away) -> None:
    away.store.accept(arrivals(glucose("104", 0)), away.sealer, now_ms=away.now)
    away.now += 30 * DAY_MS
    away.rotate()
    away.free(away.send())
    assert away.store.backlog() == (1, 0)
    away.store.close()


def test_once_the_keys_of_a_backlog_are_destroyed_nobody_opens_it(away: Away) -> None:
    away.store.accept(arrivals(glucose("104", 0)), away.sealer, now_ms=away.now)
    away.rotate()
    away.now += 400 * DAY_MS
    away.rotate()
    with pytest.raises(EnvelopeError, match="recipient"):
        away.send()
    assert Store.backlog(away.store) == (1, 1)
    away.store.close()

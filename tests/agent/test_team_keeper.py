"""Whom a box seals to: the newest list its team's root signed, taken in while it runs, kept through restarts."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from agent.errors import TeamListUnusableError
from agent.settings import IdentitySettings
from agent.team_keeper import KEPT, TELL_AGAIN_MS, TeamKeeper
from devices.source import DeviceEventKind
from exchange import key_file
from exchange.errors import EnvelopeError, IdentityError, ReceiptError, TeamListError
from exchange.identity import (
    OpeningKey,
    ReceiptSigner,
    Recipient,
    RecipientRole,
    SigningKey,
    TeamKeys,
    key_id,
    write_team_keys,
)
from exchange.messages import Range
from exchange.receipts import Receipt
from exchange.sealing import Opener, Sealer, sign_receipt, verify_receipt
from exchange.team_list import Succession, TeamList, sign_team_list
from tests.agent.kit import BOX
from tests.exchange.conftest import make_record as _make_record

DAY = 86_400_000
NOW = 1_780_000_000_000
EPOCH = "0123456789abcdef" * 2
ROOT = SigningKey.generate()
RECORD = _make_record.__wrapped__()()  # type: ignore[attr-defined]


class Box:
    """A box's folder, what it is told, and the keeper over it."""

    def __init__(self, folder: Path, roots: Sequence[bytes] = (ROOT.public,)) -> None:
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.file = folder / "team-list"
        self.identity = IdentitySettings(
            signing_key=folder / "signing.key", team_keys=self.file, team_roots=tuple(root.hex() for root in roots)
        )
        self.now = NOW
        self.told: list[DeviceEventKind] = []

    def start(self) -> TeamKeeper:
        return TeamKeeper(self.identity, self.state, now_ms=lambda: self.now, tell=self.told.append)

    def given(self, data: bytes) -> None:
        """Put a list where the settings name it, as an installer does."""
        key_file.replace(self.file, data, mode=0o644)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def listing(version: int, key: OpeningKey, *signers: SigningKey, issued: int = NOW, days: int = 60) -> TeamList:
    return TeamList(
        version=version,
        issued_at=issued,
        expires_at=issued + days * DAY,
        recipients=(Recipient.of(key, RecipientRole.TEAM),),
        receipt_signers=tuple(ReceiptSigner.of(signer) for signer in signers or (ROOT,)),
    )


def signed(version: int, key: OpeningKey, *signers: SigningKey, issued: int = NOW, days: int = 60) -> bytes:
    return sign_team_list(listing(version, key, *signers, issued=issued, days=days), ROOT)


def altered(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def opens(envelope: bytes, *keys: OpeningKey, signer: SigningKey) -> bool:
    try:
        Opener(keys=keys, signer_of=lambda _box, _name: signer.public).open(envelope, box=BOX)
    except EnvelopeError as error:
        return error.reason != "recipient"
    return True


def test_a_box_seals_to_a_new_list_without_a_restart_and_the_removed_recipient_reads_nothing_later(box: Box) -> None:
    january, february, mine = OpeningKey.generate(), OpeningKey.generate(), SigningKey.generate()
    box.given(signed(1, january))
    keeper = box.start()
    sealer = Sealer(box=BOX, signing_key=mine, recipients=keeper.recipients)
    keeper.seals_to(sealer.use)

    def seal() -> bytes:
        return sealer.seal(epoch=EPOCH, first=0, lane=1, created=NOW, records=[RECORD])

    before = seal()
    assert keeper.accept(signed(2, february)).version == 2
    after = seal()
    assert opens(before, january, signer=mine)
    assert opens(after, february, signer=mine)
    assert not opens(after, january, signer=mine)
    assert not opens(before, february, signer=mine)
    assert opens(before, january, february, signer=mine)
    assert box.told == []


def test_a_replaced_file_is_taken_in_at_the_next_look(box: Box) -> None:
    box.given(signed(1, OpeningKey.generate()))
    keeper = box.start()
    keeper.look()
    newest = OpeningKey.generate()
    box.given(signed(2, newest))
    keeper.look()
    assert [recipient.id for recipient in keeper.recipients] == [newest.id]
    assert (box.state / KEPT).read_bytes() == box.file.read_bytes()
    assert (box.state / KEPT).stat().st_mode & 0o777 == 0o600


def test_the_newest_list_survives_a_restart_though_the_file_given_at_installation_is_older(box: Box) -> None:
    newest = OpeningKey.generate()
    box.given(signed(1, OpeningKey.generate()))
    box.start().accept(signed(5, newest))
    again = box.start()
    assert [recipient.id for recipient in again.recipients] == [newest.id]
    assert box.told == []
    box.file.unlink()
    assert box.start().team == again.team


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda key: signed(3, key), "rollback"),
        (lambda key: signed(4, key, days=61), "conflict"),
        (lambda key: signed(5, key, issued=NOW - 90 * DAY), "expired"),
        (lambda key: sign_team_list(listing(5, key), SigningKey.generate()), "signer"),
        (lambda key: altered(signed(5, key)), "signature"),
        (lambda _: b"", "malformed"),
    ],
    ids=["rollback", "mix and match", "freeze", "another root", "altered", "nothing"],
)
@pytest.mark.parametrize("by_file", [False, True])
def test_what_must_not_be_taken_in_changes_nothing_and_is_told(
    make: Callable[[OpeningKey], bytes], reason: str, box: Box, *, by_file: bool
) -> None:
    held = signed(4, OpeningKey.generate())
    box.given(held)
    keeper = box.start()
    before = keeper.team
    offered = make(OpeningKey.generate())
    if by_file:
        box.given(offered)
        keeper.look()
    else:
        with pytest.raises(TeamListError) as caught:
            keeper.accept(offered)
        assert caught.value.reason == reason
    assert keeper.team == before
    assert (box.state / KEPT).read_bytes() == held
    assert box.told == [DeviceEventKind.TEAM_LIST_REFUSED]
    if by_file:
        keeper.look()
        assert box.told == [DeviceEventKind.TEAM_LIST_REFUSED]


def test_an_expired_list_is_sealed_to_all_the_same_and_told_every_hour_until_a_new_one_comes(box: Box) -> None:
    key = OpeningKey.generate()
    box.given(signed(1, key))
    keeper = box.start()
    box.now = NOW + 60 * DAY - 1
    keeper.look()
    assert box.told == []
    for box.now in (NOW + 60 * DAY, NOW + 60 * DAY + TELL_AGAIN_MS - 1, NOW + 60 * DAY + TELL_AGAIN_MS):
        keeper.look()
        assert [recipient.id for recipient in keeper.recipients] == [key.id]
    assert box.told == [DeviceEventKind.TEAM_LIST_EXPIRED] * 2
    restarted = box.start()
    restarted.look()
    assert box.told == [DeviceEventKind.TEAM_LIST_EXPIRED] * 3
    restarted.accept(signed(2, OpeningKey.generate(), issued=box.now))
    box.now += TELL_AGAIN_MS
    restarted.look()
    assert len(box.told) == 3


def test_receipts_are_believed_of_those_whom_the_present_list_names_only(box: Box) -> None:
    old, new = SigningKey.generate(), SigningKey.generate()
    key = OpeningKey.generate()
    box.given(signed(1, key, old))
    keeper = box.start()
    held_on_to = keeper.signers  # as the forwarder does

    def believed(signer: SigningKey) -> bool:
        """Whether the box looks at what the key signed; who signed is looked at before what."""
        try:
            verify_receipt(sign_receipt(cast("Receipt", Range(0, 3)), signer), box=BOX, signers=held_on_to)
        except ReceiptError as error:
            return error.reason != "signer"
        raise AssertionError("a range is no receipt")

    assert (believed(old), believed(new)) == (True, False)
    keeper.accept(signed(2, key, old, new))
    assert (believed(old), believed(new)) == (True, True)
    keeper.accept(signed(3, key, new))
    assert (believed(old), believed(new)) == (False, True)


def test_after_a_root_has_handed_over_the_earlier_one_is_believed_no_more_even_after_a_restart(box: Box) -> None:
    second = SigningKey.generate()
    step = Succession.of(old=ROOT, new=second.public)
    key = OpeningKey.generate()
    box.given(signed(1, key))
    box.start().accept(sign_team_list(listing(2, key), second, successions=(step,)))
    again = box.start()
    assert again.team is not None
    assert again.team.version == 2
    with pytest.raises(TeamListError, match="signer"):
        again.accept(signed(3, key))
    assert again.accept(sign_team_list(listing(3, key), second, successions=(step,))).version == 3


def test_a_disk_that_refuses_keeps_what_was_believed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.given(signed(1, OpeningKey.generate()))
    keeper = box.start()
    before = keeper.recipients

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(key_file.os, "fsync", full)  # type: ignore[attr-defined]
    offered = signed(2, OpeningKey.generate())
    with pytest.raises(IdentityError):
        keeper.accept(offered)
    assert keeper.recipients == before
    monkeypatch.undo()
    assert keeper.accept(offered).version == 2


@pytest.mark.process
def test_a_kill_at_any_step_of_keeping_leaves_the_old_list_or_the_new_one(box: Box) -> None:
    """The process kills itself at the Nth call into the system that keeping makes, N from the first to the last."""
    old, new = signed(1, OpeningKey.generate()), signed(2, OpeningKey.generate())
    (box.file.parent / "new").write_bytes(new)
    code = f"""
import os, signal, sys
from pathlib import Path
from exchange import key_file
left = [int(sys.argv[1])]
def counted(real):
    def call(*args, **kwargs):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(*args, **kwargs)
    return call
for name in ("fchmod", "fsync", "open", "close"):
    setattr(os, name, counted(getattr(os, name)))
Path.replace = counted(Path.replace)
key_file.replace(Path({str(box.state / KEPT)!r}), Path({str(box.file.parent / "new")!r}).read_bytes(), mode=0o600)
os.write(1, b"done")
os._exit(0)
"""
    seen = set()
    for number in range(20):
        key_file.replace(box.state / KEPT, old, mode=0o600)
        pid = os.spawnl(os.P_NOWAIT, sys.executable, sys.executable, "-c", code, str(number))
        _, status = os.waitpid(pid, 0)
        team = box.start().team
        assert team is not None
        seen.add(team.version)
        if not os.WIFSIGNALED(status):
            assert (number > 4, team.version) == (True, 2)
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    else:
        pytest.fail("keeping never came to its end")
    assert seen == {1, 2}


# --- at the start -------------------------------------------------------------------------------------------


def test_a_box_with_nothing_to_believe_does_not_start_and_says_what_to_do(box: Box) -> None:
    for data in (None, b"", b"{}", sign_team_list(listing(1, OpeningKey.generate()), SigningKey.generate())):
        if data is not None:
            box.given(data)
        with pytest.raises(TeamListUnusableError) as caught:
            box.start()
        assert "identity.team_roots" in caught.value.hint.fr
        assert "identity.team_roots" in caught.value.hint.en


def test_a_new_box_takes_an_expired_list_rather_than_seal_to_nobody(box: Box) -> None:
    box.given(signed(1, OpeningKey.generate(), issued=NOW - 90 * DAY))
    keeper = box.start()
    keeper.look()
    assert box.told == [DeviceEventKind.TEAM_LIST_EXPIRED]


def test_a_kept_list_that_was_damaged_gives_way_to_the_one_given(box: Box) -> None:
    box.given(signed(3, OpeningKey.generate()))
    box.start()
    (box.state / KEPT).write_bytes(b"damaged")
    team = box.start().team
    assert team is not None
    assert team.version == 3
    assert (box.state / KEPT).read_bytes() == box.file.read_bytes()


def test_without_a_pinned_root_a_plain_file_is_believed_and_no_list_is_taken_in(tmp_path: Path) -> None:
    box, key = Box(tmp_path, roots=()), OpeningKey.generate()
    keys = TeamKeys(recipients=(Recipient.of(key, RecipientRole.TEAM),), receipt_signers=(ReceiptSigner.of(ROOT),))
    write_team_keys(box.file, keys)
    keeper = box.start()
    assert keeper.team is None
    assert keeper.signers == {ROOT.id: ROOT.public}
    with pytest.raises(TeamListError):
        keeper.accept(signed(1, OpeningKey.generate()))
    assert [recipient.id for recipient in keeper.recipients] == [key.id]
    assert not (box.state / KEPT).exists()


def test_with_a_pinned_root_a_plain_file_is_refused(box: Box) -> None:
    keys = TeamKeys(
        recipients=(Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(ROOT),),
    )
    write_team_keys(box.file, keys)
    with pytest.raises(TeamListUnusableError):
        box.start()
    assert key_id(ROOT.public) == ROOT.id

"""The team's keys from month to month, on a real folder."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from coordination import keyring
from coordination.errors import KeyringError
from coordination.keyring import DAY_MS, KEEP_MS, Changed
from coordination.keyring_file import (
    LIST,
    NAME,
    Purpose,
    State,
    load_root,
    locked,
    read_state,
    signed_list,
    write_state,
)
from exchange.errors import EnvelopeError, ReceiptError
from exchange.identity import OpeningKey, RecipientRole, SigningKey
from exchange.messages import Range
from exchange.receipts import Receipt
from exchange.sealing import Opener, Sealer, sign_receipt, verify_receipt
from exchange.team_list import MAX_SUCCESSIONS, Person, Role, TeamList, verify_team_list
from tests.coordination.kit import BOX, EPOCH, START, glucose

MONTH = 30 * DAY_MS
NURSE = SigningKey.generate()
MARTIN = Person(key=NURSE.id, public=NURSE.public.hex(), name="A. Martin", role=Role.NURSE)


class Keys:
    """A team's key folder and its root, with time passing."""

    def __init__(self, folder: Path, *, hybrid: bool = False) -> None:
        self.folder, self.root_file = folder / "keys", folder / "root.key"
        self.now = START
        self.first = keyring.create(self.folder, self.root_file, hybrid=hybrid, now_ms=self.now)
        self.pinned = {load_root(self.root_file).id: load_root(self.root_file).public}

    @property
    def root(self) -> SigningKey:
        return load_root(self.root_file)

    @property
    def state(self) -> State:
        return read_state(self.folder)

    def rotate(self, *, later: int = MONTH, **how: bool) -> Changed:
        self.now += later
        return keyring.rotate(self.folder, self.root, now_ms=self.now, **how)

    def team(self) -> TeamList:
        """The newest list, as a box reads it."""
        return verify_team_list(signed_list(self.folder), roots=self.pinned)

    def opening(self, role: RecipientRole = RecipientRole.TEAM) -> list[OpeningKey]:
        entries = [entry for entry in self.state.entries if entry.role is role]
        return [OpeningKey.load(self.folder / entry.file) for entry in entries]

    def receipt(self) -> SigningKey:
        return SigningKey.load(self.folder / self.state.receipt_in_use.file)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def refused(call: Callable[[], object]) -> KeyringError:
    with pytest.raises(KeyringError) as caught:
        call()
    for sentence in (caught.value.why, caught.value.hint):
        assert sentence.fr.strip()
        assert sentence.en.strip()
    return caught.value


def sealed(team: TeamList, signer: SigningKey, number: int = 0) -> bytes:
    sealer = Sealer(box=BOX, signing_key=signer, recipients=team.recipients)
    return sealer.seal(epoch=EPOCH, first=number, lane=1, created=START, records=[glucose(number)])


def opens(envelope: bytes, keys: list[OpeningKey], signer: SigningKey) -> bool:
    try:
        Opener(keys=keys, signer_of=lambda _box, _name: signer.public).open(envelope, box=BOX)
    except EnvelopeError as error:
        return error.reason != "recipient"
    return True


def believed(receipt_key: SigningKey, team: TeamList) -> bool:
    """Whether a box with this list looks at what the key signed; who signed is looked at before what."""
    try:
        verify_receipt(sign_receipt(cast("Receipt", Range(0, 3)), receipt_key), box=BOX, signers=team.signers())
    except ReceiptError as error:
        return error.reason != "signer"
    raise AssertionError("a range is no receipt")


def test_a_new_team_has_three_recipients_two_receipt_keys_and_nothing_that_others_can_read(keys: Keys) -> None:
    team = keys.team()
    assert [recipient.role for recipient in team.recipients] == list(RecipientRole)
    assert (team.version, team.expires_at - team.issued_at) == (1, 60 * DAY_MS)
    assert believed(keys.receipt(), team)
    for path in (*keys.folder.rglob("*"), keys.folder, keys.root_file):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o644 if path.name == LIST else 0o600), path
    held = [path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()]
    assert keys.root_file.read_bytes() not in held
    assert keys.first.state == keys.state


def test_two_teams_made_alike_share_no_key_and_no_secret(tmp_path: Path) -> None:
    """Nothing is derived from a name, a time or a default: not one private or public key is the same."""
    teams = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        teams.append(Keys(tmp_path / name))
    files = [{path.read_bytes() for path in (*team.folder.rglob("*.key"), team.root_file)} for team in teams]
    ids = [{entry.id for entry in team.state.entries} | set(team.pinned) for team in teams]
    assert len(files[0]) == len(files[1]) == len(ids[0]) == len(ids[1]) == 6
    assert not files[0] & files[1]
    assert not ids[0] & ids[1]


def test_a_team_s_keys_are_never_made_over_others(keys: Keys) -> None:
    before = {path: path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()}
    refused(lambda: keyring.create(keys.folder, keys.root_file.with_name("other"), now_ms=START))
    refused(lambda: keyring.create(keys.folder.with_name("new"), keys.root_file, now_ms=START))
    assert before == {path: path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()}


def test_each_rotation_replaces_the_opening_keys_and_leaves_escrow_alone(keys: Keys) -> None:
    before = {recipient.role: recipient.id for recipient in keys.team().recipients}
    keys.rotate()
    after = {recipient.role: recipient.id for recipient in keys.team().recipients}
    changed = {role for role, name in before.items() if after[role] != name}
    assert changed == {RecipientRole.TEAM, RecipientRole.ON_CALL}
    assert keys.team().version == 2
    keys.rotate(escrow=True)
    assert {recipient.id for recipient in keys.team().recipients}.isdisjoint({*before.values(), *after.values()})


def test_a_backlog_of_sixty_days_across_two_rotations_is_opened(keys: Keys) -> None:
    """DECISIONS 13: overlap limits signing keys, never the opening of a backlog."""
    box = SigningKey.generate()
    backlog = sealed(keys.team(), box)
    keys.rotate()
    keys.rotate()
    assert opens(backlog, keys.opening(), box)
    assert opens(sealed(keys.team(), box), keys.opening(), box)


def test_old_opening_keys_are_kept_for_400_days_and_then_destroyed(keys: Keys) -> None:
    box = SigningKey.generate()
    backlog, first = sealed(keys.team(), box), keys.opening()
    keys.rotate()
    keys.rotate(later=KEEP_MS - 1)
    assert opens(backlog, keys.opening(), box)
    destroyed = keys.rotate(later=1).destroyed
    assert not opens(backlog, keys.opening(), box)
    (file,) = (path for path in destroyed if path.parent.name == "opening" and first[0].id in path.name)
    assert not file.exists()
    assert {path.name for path in keys.folder.rglob("*.key")} == {Path(entry.file).name for entry in keys.state.entries}


def test_a_receipt_key_is_announced_before_its_use_and_believed_for_one_list_after_it(keys: Keys) -> None:
    """Old key ids hold inside their overlap only."""
    lists, in_use = [keys.team()], [keys.receipt()]
    for _ in range(4):
        keys.rotate()
        lists.append(keys.team())
        in_use.append(keys.receipt())
    assert len({key.id for key in in_use}) == 5
    table = [[believed(key, team) for key in in_use] for team in lists]
    # A row a list, a column the key in use while it was the newest: believed one list before, during, and one after.
    assert table == [[abs(row - column) <= 1 for column in range(5)] for row in range(5)]


def test_the_private_half_of_a_receipt_key_is_destroyed_once_no_list_names_it(keys: Keys) -> None:
    first = keys.receipt()
    keys.rotate()
    assert any(first.id in path.name for path in keys.folder.rglob("*.key"))
    assert any(first.id in path.name for path in keys.rotate().destroyed)
    assert not any(first.id in path.name for path in keys.folder.rglob("*.key"))


def test_stolen_receipt_keys_are_believed_no_more_by_who_has_the_new_list(keys: Keys) -> None:
    keys.rotate()
    stolen = [
        SigningKey.load(keys.folder / entry.file) for entry in keys.state.entries if entry.purpose is Purpose.RECEIPT
    ]
    assert len(stolen) == 3
    keys.rotate(later=0, stolen=True)
    assert [believed(key, keys.team()) for key in stolen] == [False] * 3
    assert believed(keys.receipt(), keys.team())
    keys.rotate()
    assert believed(keys.receipt(), keys.team())


def test_a_removed_recipient_reads_what_came_before_and_nothing_after(keys: Keys) -> None:
    box, on_call = SigningKey.generate(), keys.opening(RecipientRole.ON_CALL)
    before = sealed(keys.team(), box)
    keyring.remove_recipient(keys.folder, keys.root, RecipientRole.ON_CALL, now_ms=keys.now)
    after = sealed(keys.team(), box)
    assert opens(before, on_call, box)
    assert not opens(after, on_call, box)
    keys.rotate()
    assert not opens(sealed(keys.team(), box), on_call, box)
    keyring.add_recipient(keys.folder, keys.root, RecipientRole.ON_CALL, now_ms=keys.now)
    again = sealed(keys.team(), box)
    assert not opens(again, on_call, box)
    assert opens(again, keys.opening(RecipientRole.ON_CALL), box)


def test_the_team_stays_a_recipient_and_nobody_is_one_twice(keys: Keys) -> None:
    for role in (RecipientRole.TEAM, RecipientRole.ESCROW):
        if role is not RecipientRole.TEAM:
            keyring.remove_recipient(keys.folder, keys.root, role, now_ms=keys.now)
        refused(lambda role=role: keyring.remove_recipient(keys.folder, keys.root, role, now_ms=keys.now))  # type: ignore[misc]
    refused(lambda: keyring.add_recipient(keys.folder, keys.root, RecipientRole.ON_CALL, now_ms=keys.now))


def test_going_over_to_hybrid_keys_replaces_every_recipient(tmp_path: Path) -> None:
    keys, box = Keys(tmp_path), SigningKey.generate()
    backlog = sealed(keys.team(), box)
    keys.rotate(hybrid=True)
    assert all(recipient.hybrid for recipient in keys.team().recipients)
    keys.rotate()
    assert all(recipient.hybrid for recipient in keys.team().recipients)
    assert opens(backlog, keys.opening(), box)
    assert opens(sealed(keys.team(), box), keys.opening(), box)
    keys.rotate(hybrid=False)
    assert not any(recipient.hybrid for recipient in keys.team().recipients)


def test_people_come_and_go_by_their_keys(keys: Keys) -> None:
    keyring.add_person(keys.folder, keys.root, MARTIN, now_ms=keys.now)
    assert keys.team().people == (MARTIN,)
    assert "A. Martin" in refused(lambda: keyring.add_person(keys.folder, keys.root, MARTIN, now_ms=0)).why.fr
    keys.rotate()
    assert keys.team().people == (MARTIN,)
    keyring.remove_person(keys.folder, keys.root, MARTIN.key, now_ms=keys.now)
    assert keys.team().people == ()
    refused(lambda: keyring.remove_person(keys.folder, keys.root, MARTIN.key, now_ms=keys.now))
    assert keys.team().version == 4


def test_another_key_than_the_root_signs_nothing(keys: Keys) -> None:
    before = signed_list(keys.folder)
    refused(lambda: keyring.rotate(keys.folder, SigningKey.generate(), now_ms=keys.now))
    refused(lambda: keyring.add_person(keys.folder, NURSE, MARTIN, now_ms=keys.now))
    assert signed_list(keys.folder) == before


def test_boxes_follow_a_new_root_from_the_one_that_they_have_pinned(keys: Keys) -> None:
    old = keys.root
    for number in range(3):
        file = keys.root_file.with_name(f"root-{number}.key")
        keyring.change_root(keys.folder, keys.root, file, now_ms=keys.now)
        keys.root_file = file
    keys.rotate()
    assert keys.team().version == 5
    refused(lambda: keyring.rotate(keys.folder, old, now_ms=keys.now))
    for number in range(3, MAX_SUCCESSIONS):
        file = keys.root_file.with_name(f"root-{number}.key")
        keyring.change_root(keys.folder, keys.root, file, now_ms=keys.now)
        keys.root_file = file
    before = keys.team()
    more = keys.root_file.with_name("more")
    refused(lambda: keyring.change_root(keys.folder, keys.root, more, now_ms=keys.now))
    assert keys.team() == before
    assert not more.exists()


def test_a_list_that_boxes_would_refuse_is_not_made(keys: Keys) -> None:
    others = [SigningKey.generate() for _ in range(200)]
    people = tuple(Person(key=key.id, public=key.public.hex(), name="x", role=Role.OPERATOR) for key in others)
    state = msgspec.structs.replace(keys.state, team=msgspec.structs.replace(keys.team(), people=people[:-1]))
    write_state(keys.folder, state, b"")
    full = keyring.add_person(keys.folder, keys.root, people[-1], now_ms=keys.now).state
    refused(lambda: keyring.add_person(keys.folder, keys.root, MARTIN, now_ms=keys.now))
    assert keys.state == full
    assert len(keys.team().people) == 200


def test_two_who_change_the_keys_at_once_do_not_sign_two_lists_of_one_version(keys: Keys) -> None:
    with locked(keys.folder):
        refused(keys.rotate)
    keys.rotate()
    assert keys.team().version == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"root": 1}'])
def test_a_damaged_keyring_is_told_and_left_alone(content: bytes, keys: Keys) -> None:
    path = keys.folder / NAME
    path.write_bytes(content)
    refused(lambda: keys.state)
    refused(keys.rotate)
    assert path.read_bytes() == content
    path.chmod(0o644)
    refused(lambda: keys.state)
    path.unlink()
    refused(lambda: keys.state)
    refused(lambda: read_state(keys.folder.with_name("nowhere")))
    refused(lambda: keyring.rotate(keys.folder.with_name("nowhere"), keys.root, now_ms=0))


@pytest.mark.process
def test_a_rotation_killed_at_any_durable_step_leaves_a_folder_that_rotates_and_no_two_lists_of_one_version(
    keys: Keys,
) -> None:
    """The process kills itself at its Nth fsync: a box that saw any list meanwhile takes the next one."""
    code = f"""
import os, signal, sys
from pathlib import Path
from coordination import keyring
from coordination.keyring_file import load_root
left, real = int(sys.argv[1]), os.fsync
def counted(descriptor):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(descriptor)
os.fsync = counted
keyring.rotate(Path({str(keys.folder)!r}), load_root(Path({str(keys.root_file)!r})), now_ms={keys.now})
"""
    lists: dict[int, bytes] = {}
    ended = False
    for step in range(0, 60, 3):
        done = subprocess.run([sys.executable, "-c", code, str(step)], capture_output=True, check=False)
        ended = done.returncode == 0
        data, team = signed_list(keys.folder), keys.team()
        assert lists.setdefault(team.version, data) == data
        assert keys.state.team.version >= team.version
        for recipient in team.recipients:
            assert any(recipient.id in path.name for path in keys.folder.rglob("*.key"))
        assert believed(keys.receipt(), team)
        if ended:
            break
    assert ended
    keys.rotate()
    assert keys.team().version == keys.state.team.version > max(lists)

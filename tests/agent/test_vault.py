"""The box's own keys: bound to their place, never shared, never defaulted."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import NotReadyError, VaultError
from agent.key_places import kek_from_credential, kek_from_file, make_kek_file
from agent.vault import DAY_MS, SEALS_PER_KEY, Vault


def ready_vault(kek: bytes = bytes(32), *, box: str = "box-0001") -> Vault:
    vault = Vault(kek, box=box)
    vault.new_key(1)
    vault.use_key(1, 0)
    return vault


@given(st.binary(max_size=2000), st.integers(0, 2**40))
def test_what_is_sealed_opens_again(plaintext: bytes, row: int) -> None:
    vault = ready_vault()
    assert vault.open("reading", row, vault.seal("reading", row, plaintext)) == plaintext


def test_a_row_copied_to_another_place_does_not_open() -> None:
    vault = ready_vault()
    sealed = vault.seal("reading", 1, b"72 kg")
    for table, row in (("reading", 2), ("alert", 1)):
        with pytest.raises(VaultError):
            vault.open(table, row, sealed)


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    vault = ready_vault()
    sealed = bytearray(vault.seal("reading", 1, b"72 kg"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        vault.open("reading", 1, bytes(sealed))


def test_another_box_or_key_opens_no_data_key() -> None:
    vault = Vault(bytes(32), box="box-0001")
    wrapped = vault.new_key(7)
    for other in (Vault(bytes(32), box="box-0002"), Vault(bytes(31) + b"\1", box="box-0001")):
        with pytest.raises(VaultError):
            other.open_key(7, wrapped)
    with pytest.raises(VaultError):
        Vault(bytes(32), box="box-0001").open_key(8, wrapped)


def test_a_restarted_vault_reads_what_the_one_before_sealed() -> None:
    before = Vault(bytes(32), box="box-0001")
    wrapped = before.new_key(1)
    before.use_key(1, 0)
    sealed = before.seal("reading", 1, b"72 kg")
    after = Vault(bytes(32), box="box-0001")
    after.open_key(1, wrapped)
    assert after.open("reading", 1, sealed) == b"72 kg"
    assert after.needs_key(0)


def test_a_fresh_key_is_wanted_each_day_and_after_many_seals() -> None:
    vault = ready_vault()
    assert not vault.needs_key(DAY_MS - 1)
    assert vault.needs_key(DAY_MS)
    vault._seals = SEALS_PER_KEY
    assert vault.needs_key(0)


def test_nothing_is_sealed_before_a_key_was_kept() -> None:
    vault = Vault(bytes(32), box="box-0001")
    vault.new_key(1)
    with pytest.raises(NotReadyError):
        vault.seal("reading", 1, b"")


def test_the_same_plaintext_never_looks_the_same() -> None:
    vault = ready_vault()
    assert len({vault.seal("reading", 1, b"72 kg") for _ in range(200)}) == 200


def test_key_file_is_random_private_and_stays(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        make_kek_file(tmp_path / name, database=tmp_path / "db")
    first, second = kek_from_file(tmp_path / "a"), kek_from_file(tmp_path / "b")
    assert first != second
    make_kek_file(tmp_path / "a", database=tmp_path / "db")
    assert kek_from_file(tmp_path / "a") == first
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_key_file_that_others_can_read_is_refused_with_the_next_step(tmp_path: Path) -> None:
    make_kek_file(tmp_path / "kek", database=tmp_path / "db")
    (tmp_path / "kek").chmod(0o640)
    with pytest.raises(VaultError) as caught:
        kek_from_file(tmp_path / "kek")
    assert "chmod 600" in caught.value.hint.fr
    assert "chmod 600" in caught.value.hint.en


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    path.touch(mode=0o600)
    with pytest.raises(VaultError, match="0 bytes instead of 32"):
        kek_from_file(path)


def test_a_key_file_that_cannot_be_made_or_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VaultError, match="cannot be made"):
        make_kek_file(tmp_path / "file" / "kek", database=tmp_path / "db")
    with pytest.raises(VaultError, match="cannot be read"):
        kek_from_file(tmp_path / "absent")


def test_systemd_credential_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(VaultError, match="no credential"):
        kek_from_credential("veilleur-kek")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "veilleur-kek").write_bytes(bytes(range(32)))
    assert kek_from_credential("veilleur-kek") == bytes(range(32))


def test_index_digests_differ_by_key_box_and_parts() -> None:
    digests = {
        ready_vault().digest("reading", "a", "b"),
        ready_vault().digest("reading", "ab", ""),
        ready_vault(bytes(31) + b"\1").digest("reading", "a", "b"),
        ready_vault(box="box-0002").digest("reading", "a", "b"),
    }
    assert len(digests) == 4


def test_a_new_key_is_not_made_beside_a_database_that_another_has_sealed(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    with pytest.raises(VaultError, match="is missing although"):
        make_kek_file(tmp_path / "kek", database=tmp_path / "db")
    assert [path.name for path in tmp_path.iterdir()] == ["db"]

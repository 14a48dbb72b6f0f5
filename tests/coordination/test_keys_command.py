"""`veilleur-desk keys` as whoever runs it reads it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coordination import keys_command
from coordination.cli import main
from coordination.keyring_file import LIST, load_root, read_state
from exchange.identity import SigningKey
from exchange.team_list import verify_team_list

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(name: str, *arguments: str, lang: str = "en", code: int = 0, rooted: bool = True) -> Result:
        root = ("--root", str(tmp_path / "root.key")) if rooted else ()
        folder = ("--folder", str(tmp_path / "keys"), "--lang", lang)
        result = CliRunner().invoke(main, ["keys", name, *folder, *root, *arguments])
        assert result.exit_code == code, result.output
        for path in tmp_path.rglob("*.key"):
            # A private key is one line of base64 between two dashed ones.
            for line in path.read_text(encoding="ascii").splitlines():
                assert line not in result.output
        return result

    return call


def test_a_team_is_made_and_told_what_to_do_with_its_root(run: Run, tmp_path: Path) -> None:
    said = run("createteam").output
    root = load_root(tmp_path / "root.key")
    assert f"Root to pin on every box (identity.team_roots): {root.public.hex()}" in said
    assert "offline" in said
    data = (tmp_path / "keys" / LIST).read_bytes()
    assert verify_team_list(data, roots={root.id: root.public}).version == 1
    assert "contient déjà les clés" in run("createteam", code=2, lang="fr").output


def test_the_same_in_french(run: Run) -> None:
    said = run("createteam", "--only-team", lang="fr").output
    assert "Racine à épingler sur chaque boîtier" in said
    assert "astreinte" not in said


def test_a_month_later_the_keys_are_renewed_and_listed(run: Run, tmp_path: Path) -> None:
    run("createteam")
    assert "List 2 signed" in run("rotate").output
    listed = run("list", rooted=False).output
    for word in ("List 2, valid until", "in use", "replaced, kept until", "announced, for the next month", "escrow"):
        assert word in listed
    assert "remplacée, encore crue" in run("list", rooted=False, lang="fr").output
    assert "hybrid" not in listed
    assert len(read_state(tmp_path / "keys").team.recipients[0].public) == 64
    run("rotate", "--hybrid")
    assert ", hybrid (post-quantum) keys" in run("list", rooted=False).output
    assert len(read_state(tmp_path / "keys").team.recipients[0].public) == 2432


def test_a_person_is_named_by_the_public_half_of_their_own_key(run: Run) -> None:
    run("createteam")
    theirs = SigningKey.generate()
    run("add-person", "--name", "A. Martin", "--role", "nurse", "--public", theirs.public.hex())
    assert "A. Martin  (infirmier ou infirmière)" in run("list", rooted=False, lang="fr").output
    run("remove-person", "--key", theirs.id)
    assert "A. Martin" not in run("list", rooted=False).output


@pytest.mark.parametrize("public", ["", "zz", "00" * 31, "00" * 33])
def test_what_is_no_public_key_is_refused(public: str, run: Run) -> None:
    run("createteam")
    run("add-person", "--name", "A. Martin", "--role", "nurse", "--public", public, code=2)
    run("add-person", "--name", "\x07", "--role", "nurse", "--public", "11" * 32, code=2)
    assert "List 1," in run("list", rooted=False).output


def test_an_expired_list_is_said_to_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("createteam", "--days", "1")
    assert "EXPIRED" not in run("list", rooted=False).output
    later = keys_command._now() + 86_400_000
    monkeypatch.setattr(keys_command, "_now", lambda: later)
    assert "EXPIRED, renew it" in run("list", rooted=False).output
    assert "EXPIRÉE, la renouveler" in run("list", rooted=False, lang="fr").output


def test_recipients_and_root_are_changed(run: Run, tmp_path: Path) -> None:
    run("createteam")
    run("remove-recipient", "on_call")
    run("remove-recipient", "on_call", code=2)
    run("add-recipient", "on_call")
    said = run("change-root", "--new-root", str(tmp_path / "new.key")).output
    assert "keep the old root until every box has list 4" in said
    assert "is not the root of this team" in run("rotate", code=2).output

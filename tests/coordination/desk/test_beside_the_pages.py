"""What a server does beside the pages, as commands of their own."""

import subprocess
from pathlib import Path

import pytest

from coordination.team_database import connect
from simulators.processes import command
from tests.coordination.kit import PATIENT, Team, glucose, is_file, rows

pytestmark = pytest.mark.process


def told(*arguments: str) -> str:
    done = subprocess.run([command("veilleur-desk"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_retention_and_a_new_key_of_identities_are_commands(tmp_path: Path) -> None:
    team = Team(tmp_path)
    config = str(team.write_settings())
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0), glucose(1)]))
    database.close()
    said = told("new-identity-key", "--config", config)
    assert "0 identités sous la nouvelle clé" in said
    assert (tmp_path / "identity.key").stat().st_mode & 0o777 == 0o600
    connection = connect(team.database)
    connection.execute("UPDATE patient SET ended_at = 1 WHERE pseudonym = ?", (PATIENT,))
    connection.close()
    assert "1 patients à effacer" in told("retention", "--config", config, "--dry-run")
    assert rows(team.database, "SELECT count(*) FROM observation") == [(2,)]
    assert "1 patients effacés" in told("retention", "--config", config)
    assert rows(team.database, "SELECT count(*) FROM observation") == [(0,)]
    if is_file(team.database):
        assert PATIENT.encode() not in team.database.read_bytes()

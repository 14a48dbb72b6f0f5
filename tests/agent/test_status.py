"""What `veilleur status` says of the box itself."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.key_places import make_kek_file
from agent.settings_file import read_settings
from agent.status import KERNELS
from agent.store import Store
from agent.vault import Vault
from alerting import compiled
from alerting.alert import Sentence
from alerting.compiled import Kind

ROOT = Path(__file__).parents[2]


def status(config: Path, *options: str, lang: str = "en") -> Result:
    return CliRunner().invoke(main, ["--lang", lang, "status", "--config", str(config), *options])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The settings of a box that has started once."""
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8").replace("/var/lib/veilleur", "state")
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    settings = read_settings(path)
    assert settings.vault.key_file is not None
    make_kek_file(settings.vault.key_file, database=settings.database)
    Store(settings.database, Vault(settings.vault.key_file.read_bytes(), box=settings.box), now_ms=0).close()
    return path


@pytest.mark.parametrize("kind", list(Kind))
def test_it_says_which_kernel_judges_and_why_not_the_better_one(
    config: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = None if kind is Kind.AHEAD_OF_TIME else Sentence(fr="parce que", en="because")
    monkeypatch.setattr(compiled, "kind", kind)
    monkeypatch.setattr(compiled, "why", why)
    words = KERNELS[kind]
    assert f"{words.en}{' (because)' if why else ''}\n" in status(config).stdout
    assert f"{words.fr}{' (parce que)' if why else ''}\n" in status(config, lang="fr").stdout
    told = json.loads(status(config, "--json").stdout)["kernel"]
    assert told == {"compiled": kind, "why": None if why is None else {"fr": "parce que", "en": "because"}}

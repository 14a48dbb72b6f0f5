"""`veilleur check` as a nurse meets it: in her language, and over a file as her editor saved it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.check_command import is_protocol
from agent.cli import main

HEIR = 'schema = 1\nname = "mme_d"\nversion = 1\npack = "heart_failure"\n'
SETTINGS = 'box = "box-1"\n[[patients]]\npseudonym = "p1"\n'


def veilleur(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_language_is_chosen_before_or_after_the_command(lang: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEIR + 'remove = ["nothing"]\n', encoding="utf-8")
    after = veilleur("check", path, "--lang", lang)
    assert after.exit_code == 1
    assert ("est inconnu" if lang == "fr" else "is unknown") in after.stderr
    assert after.stderr == veilleur("--lang", lang, "check", path).stderr
    other = {"fr": "en", "en": "fr"}[lang]
    assert after.stderr == veilleur("--lang", other, "check", path, "--lang", lang).stderr


def test_the_language_is_chosen_for_settings_too(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("box = 3\n", encoding="utf-8")
    french, english = veilleur("check", path, "--lang", "fr"), veilleur("check", path, "--lang", "en")
    assert french.exit_code == english.exit_code == 1
    assert french.stderr != english.stderr


def test_a_file_with_the_mark_of_windows_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEIR, encoding="utf-8-sig")
    found = veilleur("check", path, "--lang", "fr")
    assert (found.exit_code, found.stderr) == (0, "")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_protocol_saved_in_another_coding_is_told_how_to_be_saved(coding: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEIR, encoding=coding)
    found = veilleur("check", path, "--lang", "fr")
    assert found.exit_code == 1
    assert found.stderr == (
        f"{path}:1: le fichier doit être enregistré en UTF-8 (Bloc-notes : Enregistrer sous, Codage UTF-8)\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        HEIR,
        HEIR + "x = “\n",
        HEIR.replace("pack =", "pack=") + "x = “\n",
        '[rules]\nid = "a"\n[rules]\nid = "b"\n',
        "[adapt.no_weight]\nby = 10:00\n",
        "\ufeff[adapt.no_weight]\nby = 10:00\n",
    ],
)
def test_a_protocol_is_known_however_broken(text: str) -> None:
    assert is_protocol(text.encode())


@pytest.mark.parametrize("text", [SETTINGS, SETTINGS + "x = “\n", "\ufeff" + SETTINGS, "x = “\n"])
def test_settings_are_not_taken_for_a_protocol(text: str) -> None:
    assert not is_protocol(text.encode())

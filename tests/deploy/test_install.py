"""The installation, really run into a scratch root: what it makes, twice over, and what it refuses."""

import os
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from exchange.identity import SigningKey
from simulators.package import PackageError, unpack
from tests.agent.box_kit import ROOT

INSTALL = ROOT / "deploy" / "install.sh"
SCRIPTS = sorted((ROOT / "deploy").glob("*.sh"))
MODULE = "import sys\n\n\ndef main():\n    print('veilleur', '{version}', *sys.argv[1:])\n"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-sysusers") is None,
    reason="needs root and systemd's tools: the installation makes a user and folders of others",
)


def make_wheel(folder: Path, version: str) -> Path:
    """A wheel in the box's name with one small command in it: what is installed is not what is tried here."""
    path = folder / f"veilleur-{version}-py3-none-any.whl"
    info = f"veilleur-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("veilleur_trial.py", MODULE.format(version=version))
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: veilleur\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: trial\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nveilleur = veilleur_trial:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


class Card:
    """The root of an image."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        (self.root / "etc").mkdir(parents=True)
        self.folder = folder
        self.requirements = folder / "box.txt"
        self.requirements.write_text("", encoding="utf-8")

    def install(self, wheel: Path, *more: str) -> "subprocess.CompletedProcess[str]":
        return self.run("--wheel", str(wheel), "--requirements", str(self.requirements), *more)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        line: Sequence[str] = [
            *(str(INSTALL), "--root", str(self.root), "--python", sys.executable, "--wheelhouse", str(self.folder)),
            *arguments,
        ]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    def says(self) -> str:
        """What the installed command prints."""
        line = [str(self.root / "opt/veilleur/current/bin/veilleur"), "x"]
        said: str = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        return said

    @property
    def current(self) -> str:
        return str((self.root / "opt/veilleur/current").readlink())

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.root / path).lstat().st_mode)

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file outside the versions, with its mode and content."""
        files = [path for path in self.root.rglob("*") if path.is_file() and "versions" not in path.parts]
        return {str(path.relative_to(self.root)): (path.stat().st_mode, path.read_bytes()) for path in files}


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


def pin(tmp_path: Path, name: str) -> Path:
    """The public half of a release key."""
    public = tmp_path / f"{name}.pub"
    public.write_text(f"{SigningKey.generate().public.hex()}\n", encoding="ascii")
    return public


@needs_root
def test_an_installation_is_whole_can_be_repeated_and_gives_way_to_a_newer_one(card: Card, tmp_path: Path) -> None:
    """One life, since each installation really makes its virtual environment."""
    outside = [Path("/etc/passwd"), Path("/etc/group"), Path("/etc/systemd/system"), Path("/usr/local/bin")]
    before = [path.stat().st_mtime_ns for path in outside]
    wheel, ours, theirs = make_wheel(tmp_path, "1.0"), pin(tmp_path, "ours"), pin(tmp_path, "theirs")

    # It makes user, folders, program and units, and no secret.
    done = card.install(wheel, "--release-key", str(ours))
    assert done.returncode == 0, done.stderr
    (user,) = [line for line in (card.root / "etc/passwd").read_text().splitlines() if line.startswith("veilleur:")]
    assert user.endswith(":/var/lib/veilleur:/usr/sbin/nologin")
    assert "bluetooth" in (card.root / "etc/group").read_text()
    assert card.mode("var/lib/veilleur") == 0o700
    assert card.mode("etc/veilleur") == 0o750
    assert card.mode("etc/veilleur/keys") == 0o700
    assert card.says() == "veilleur 1.0 x\n"
    for unit in ("veilleur.service", "veilleur-key.service"):
        link = card.root / "etc/systemd/system/multi-user.target.wants" / unit
        assert str(link.readlink()) == f"/etc/systemd/system/{unit}"
        assert (card.root / "etc/systemd/system" / unit).read_bytes() == (ROOT / "deploy" / unit).read_bytes()
    assert [path for path in card.tree() if path.endswith((".cred", "signing.key", "kek"))] == []
    assert (card.root / "etc/veilleur/release.key").read_bytes() == ours.read_bytes()

    # The settings that it lays down fit the unit.
    settings = tomllib.loads((card.root / "etc/veilleur/agent.toml").read_text())
    assert settings["vault"] == {"credential": "veilleur-kek"}
    assert settings["fleet"] == {"metrics": "/run/veilleur/metrics.prom"}
    unit_text = (ROOT / "deploy" / "veilleur.service").read_text()
    assert "LoadCredentialEncrypted=veilleur-kek:/etc/veilleur/veilleur-kek.cred" in unit_text
    assert "RuntimeDirectory=veilleur" in unit_text

    # Again changes nothing, and leaves settings, keys and readings; another release key is refused.
    (card.root / "etc/veilleur/agent.toml").write_text('box = "box-0007"\n')
    (card.root / "etc/veilleur/keys/signing.key").write_text("born here")
    (card.root / "var/lib/veilleur/veilleur.db").write_text("readings")
    tree, first = card.tree(), card.current
    assert card.install(wheel, "--release-key", str(ours)).returncode == 0
    assert card.install(wheel, "--release-key", str(theirs)).returncode == 2
    assert card.tree() == tree
    assert card.current == first

    if not os.environ.get("VEILLEUR_LONG"):
        return
    # The long form, with two environments more.
    # What does not install leaves what runs: a library without its sum, a wheel that was cut off.
    newer = make_wheel(tmp_path, "1.1")
    card.requirements.write_text("msgspec==0.0.1\n")
    assert card.install(newer).returncode != 0
    whole = newer.read_bytes()
    newer.write_bytes(whole[:200])
    assert "est incomplet" in card.install(newer).stderr
    assert card.current == first
    assert card.says() == "veilleur 1.0 x\n"

    # The same again, whole: made anew where it was cut off, beside what ran, which stays to go back to.
    newer.write_bytes(whole)
    card.requirements.write_text("")
    done = card.install(newer)
    assert done.returncode == 0, done.stderr
    assert card.says() == "veilleur 1.1 x\n"
    assert (card.root / "opt/veilleur" / first / "bin" / "veilleur").exists()
    assert before == [path.stat().st_mtime_ns for path in outside]


@needs_root
def test_what_it_refuses_is_said_in_both_languages_and_nothing_is_made(card: Card, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0")
    cases = {
        "donner --wheel": card.run(),
        "il n'y a pas de": card.run("--wheel", str(tmp_path / "gone.whl")),
        "option inconnue": card.run("--weel", "x"),
        "demande une valeur": card.run("--wheel"),
        "n'a pas la somme attendue": card.install(wheel, "--sha256", "00" * 32),
        "n'est pas une clé publique": card.install(wheel, "--release-key", str(wheel)),
        "il faut Python 3.11": card.install(wheel, "--python", "/bin/false"),
    }
    for words, done in cases.items():
        assert done.returncode == 2, words
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert " / " in done.stderr
    assert [path.name for path in card.root.iterdir()] == ["etc"]


KEY = """
cd "$1" && mkdir host && mount --bind host /var/lib/systemd &&
"$2" first.cred && cp first.cred kept.cred && "$2" first.cred && cmp first.cred kept.cred && "$2" second.cred &&
systemd-creds decrypt --name=veilleur-kek first.cred first &&
systemd-creds decrypt --name=veilleur-kek second.cred second
"""


@needs_root
def test_the_key_is_born_on_the_box_once_and_two_boxes_share_none(tmp_path: Path) -> None:
    # In a mount namespace of its own: the host key that systemd makes for it is gone with it.
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", KEY, "sh", tmp_path, ROOT / "deploy" / "make-key.sh"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Operation not permitted" in done.stderr or "temporary file system" in done.stderr:
        pytest.skip("needs the right to mount, and a temporary folder on a disk: systemd keeps no host key elsewhere")
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / "first").read_bytes(), (tmp_path / "second").read_bytes()
    assert len(first) == len(second) == 32
    assert first != second
    assert first not in (tmp_path / "first.cred").read_bytes()
    assert stat.S_IMODE((tmp_path / "first.cred").stat().st_mode) == 0o600


def test_shellcheck_has_nothing_to_say() -> None:
    found = shutil.which("shellcheck")
    if found is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veilleur"
        home = folder / "shellcheck"
        found = str(home / "usr" / "bin" / "shellcheck")
        if not Path(found).exists():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                unpack("shellcheck", folder, home, works=Path(found).exists)
            except PackageError as error:
                pytest.skip(f"needs shellcheck, which is neither installed nor to be fetched here: {error}")
    done = subprocess.run([found, *map(str, SCRIPTS)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    assert len(SCRIPTS) >= 3

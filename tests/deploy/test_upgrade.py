"""An upgrade: refused unless signed, whole and new; built beside; taken back when it does not prove itself."""

import io
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import main
from agent.upgrade import STARTS, Places, put_on_trial
from agent.upgrade_bundle import MAGIC, Manifest, UpgradeError, read_manifest, unpack, write_bundle
from exchange.identity import SigningKey
from tests.agent.box_kit import ROOT, running, write_settings
from tests.deploy.test_install import make_wheel

TRIAL = ROOT / "deploy" / "trial.sh"
KEY = SigningKey.generate()


@dataclass(frozen=True, slots=True)
class Release:
    """What a team would make."""

    folder: Path

    def bundle(self, serial: int, *, version: str = "1.1", key: SigningKey = KEY) -> Path:
        wheel = make_wheel(self.folder, version)
        files = {wheel.name: wheel, "box.txt": requirements_of(self.folder / "box.txt")}
        path = self.folder / f"veilleur-{version}-{serial}.upgrade"
        write_bundle(path, files, version=version, serial=serial, key=key)
        return path


def requirements_of(path: Path) -> Path:
    # A file in a bundle is never empty.
    path.write_text("# nothing beyond the wheel\n", encoding="utf-8")
    return path


@pytest.fixture
def release(tmp_path: Path) -> Release:
    folder = tmp_path / "release"
    folder.mkdir()
    return Release(folder)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A box on version 1.0, whose database fits what its command says by its exit code."""
    home = tmp_path / "opt"
    old = home / "versions" / "1.0-0" / "bin"
    old.mkdir(parents=True)
    (old / "veilleur").write_text("#!/bin/sh\nexit 0\n")
    (old / "veilleur").chmod(0o755)
    (home / "current").symlink_to("versions/1.0-0")
    pinned = tmp_path / "release.key"
    pinned.write_text(KEY.public.hex() + "\n", encoding="ascii")
    return Places(home=home, release_key=pinned)


def light(manifest: Manifest, unpacked: Path, place: Path) -> None:
    """Instead of a virtual environment, which takes its time: the files as they are."""
    shutil.copytree(unpacked, place / "files")
    (place / "bin").mkdir()
    (place / "bin" / "veilleur").write_text(f"#!/bin/sh\necho {manifest.version}\n")
    (place / "bin" / "veilleur").chmod(0o755)


def start(places: Places, *, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """What systemd runs before each start."""
    line = [str(TRIAL), str(places.home), str(places.home / "proven"), "/nowhere/agent.toml"]
    return subprocess.run(
        line, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=60, check=False
    )


def current(places: Places) -> str:
    return (places.home / "current").resolve(strict=True).name


def refused(bundle: Path, places: Places) -> str:
    before = snapshot(places)
    with pytest.raises(UpgradeError) as caught:
        put_on_trial(bundle, places, build=light)
    assert snapshot(places) == before
    assert caught.value.why.fr != caught.value.why.en
    return caught.value.reason


def snapshot(places: Places) -> list[str]:
    return sorted(str(path) for path in places.home.rglob("*"))


# --- what is believed ---------------------------------------------------------------------------------------


def test_a_signed_version_is_built_beside_and_put_on_trial_from_the_next_start(
    release: Release, places: Places
) -> None:
    name = put_on_trial(release.bundle(1), places, build=light)
    assert name == "1.1-1"
    assert current(places) == "1.0-0"
    assert start(places).returncode == 0
    assert current(places) == "1.1-1"
    (places.home / "proven").write_text("1.1-1\n")
    start(places)
    assert not places.trial.exists()
    assert current(places) == "1.1-1"


def test_what_another_key_signed_is_refused(release: Release, places: Places) -> None:
    assert refused(release.bundle(1, key=SigningKey.generate()), places) == "signer"
    places.release_key.unlink()
    assert refused(release.bundle(1), places) == "signer"


def test_an_old_version_cannot_be_brought_back(release: Release, places: Places) -> None:
    old, new = release.bundle(4), release.bundle(5, version="1.2")
    put_on_trial(new, places, build=light)
    start(places)
    (places.home / "proven").write_text("1.2-5\n")
    start(places)
    assert refused(old, places) == "replay"
    assert refused(new, places) == "replay"


def test_what_was_tried_and_failed_is_not_tried_again(release: Release, places: Places) -> None:
    put_on_trial(release.bundle(1), places, build=light)
    for _ in range(STARTS + 1):
        start(places)
    assert current(places) == "1.0-0"
    assert refused(release.bundle(1), places) == "replay"
    assert put_on_trial(release.bundle(2, version="1.2"), places, build=light) == "1.2-2"


def test_no_second_one_while_one_is_on_trial(release: Release, places: Places) -> None:
    put_on_trial(release.bundle(1), places, build=light)
    assert refused(release.bundle(2), places) == "replay"


def test_a_bundle_that_was_cut_off_is_refused_wherever_that_was(release: Release, places: Places) -> None:
    bundle = release.bundle(1)
    whole = bundle.read_bytes()
    for length in (0, 5, len(MAGIC) + 2, len(MAGIC) + 60, len(whole) // 2, len(whole) - 1):
        bundle.write_bytes(whole[:length])
        assert refused(bundle, places) in {"form", "signer", "sum"}
    bundle.write_bytes(whole + b"x")
    assert refused(bundle, places) == "sum"


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_single_bit_that_was_changed_is_noticed(
    at: float, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    spoilt = bytearray(Release(folder).bundle(1).read_bytes())
    spoilt[int(at * len(spoilt))] ^= 1 << bit
    (folder / "out").mkdir()
    with pytest.raises(UpgradeError):
        put_out(bytes(spoilt), folder / "out")


def put_out(data: bytes, folder: Path) -> None:
    stream = io.BytesIO(data)
    unpack(stream, read_manifest(stream, release_key=KEY.public), folder)


@given(data=st.binary(max_size=400))
def test_whatever_comes_is_refused_in_words(data: bytes) -> None:
    for stream in (io.BytesIO(data), io.BytesIO(MAGIC + data)):
        with pytest.raises(UpgradeError):
            read_manifest(stream, release_key=KEY.public)


@pytest.mark.parametrize("name", ["../veilleur.whl", "/etc/passwd", ".hidden", "a/b"])
def test_a_signed_manifest_that_points_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("x")
    bundle = tmp_path / "bundle"
    write_bundle(bundle, {name: one, "box.txt": one}, version="1.1", serial=1, key=KEY)
    with bundle.open("rb") as file, pytest.raises(UpgradeError) as caught:
        read_manifest(file, release_key=KEY.public)
    assert caught.value.reason == "form"


def test_a_version_that_does_not_install_leaves_nothing(release: Release, places: Places) -> None:
    def broken(_: Manifest, __: Path, place: Path) -> None:
        place.mkdir()
        raise OSError(28, "No space left on device")

    before = snapshot(places)
    with pytest.raises(UpgradeError) as caught:
        put_on_trial(release.bundle(1), places, build=broken)
    assert caught.value.reason == "build"
    assert "No space left" in caught.value.why.fr
    assert snapshot(places) == before


@pytest.mark.process
@pytest.mark.skipif(not os.environ.get("VEILLEUR_LONG"), reason="long: VEILLEUR_LONG=1 builds a real environment")
def test_the_virtual_environment_is_really_built_without_a_network(release: Release, places: Places) -> None:
    name = put_on_trial(release.bundle(1), places)
    start(places)
    program = places.home / "current" / "bin" / "veilleur"
    assert subprocess.run([program, "x"], capture_output=True, text=True, check=True).stdout == "veilleur 1.1 x\n"
    # By this the box knows which version it is, when it has proven itself.
    assert program.read_text().splitlines()[0].endswith(f"/versions/{name}/bin/python")


def test_the_script_of_a_release_makes_key_and_bundle(release: Release, places: Places) -> None:
    wheel = make_wheel(release.folder, "1.3")
    line = [sys.executable, str(ROOT / "deploy" / "make_upgrade.py"), "--key", str(release.folder / "release.key")]
    line += ["--wheel", str(wheel), "--requirements", str(requirements_of(release.folder / "box.txt"))]
    line += ["--wheelhouse", str(release.folder / "none"), "--serial", "7", "--output", str(release.folder / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout
    places.release_key.write_text(told.rsplit(" ", 1)[1])
    assert put_on_trial(release.folder / "out", places, build=light) == "1.3-7"
    assert stat.S_IMODE((release.folder / "release.key").stat().st_mode) == 0o600


def test_the_command_says_it_in_a_sentence(release: Release) -> None:
    done = CliRunner().invoke(main, ["--lang", "fr", "upgrade", str(release.bundle(1))])
    assert done.exit_code == 2
    assert "Aucune clé de version n'est fixée sur ce boîtier" in done.stderr


# --- the trial ----------------------------------------------------------------------------------------------


def test_a_version_that_does_not_prove_itself_is_taken_back_after_so_many_starts(
    release: Release, places: Places
) -> None:
    put_on_trial(release.bundle(1), places, build=light)
    (places.home / "proven").write_text("1.0-0\n")
    seen = []
    for _ in range(STARTS + 1):
        assert start(places).stderr != ""
        seen.append(current(places))
    assert seen == ["1.1-1"] * STARTS + ["1.0-0"]
    assert start(places).stderr == ""
    assert (places.home / "refused").read_text() == "1.1-1\n"


def test_where_the_database_has_the_new_form_already_it_is_not_taken_back(release: Release, places: Places) -> None:
    put_on_trial(release.bundle(1), places, build=light)
    old = places.home / "versions" / "1.0-0" / "bin" / "veilleur"
    old.write_text("#!/bin/sh\nexit 2\n")
    for _ in range(STARTS + 2):
        start(places)
    assert current(places) == "1.1-1"
    assert not places.trial.exists()


def test_the_box_says_by_its_exit_code_whether_the_database_fits(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    fits = CliRunner().invoke(main, ["fits", "--config", str(config)])
    assert fits.exit_code == 0
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "veilleur.db").write_bytes(b"of another kind" * 100)
    assert CliRunner().invoke(main, ["fits", "--config", str(config)]).exit_code == 2


CUT = """#!/bin/sh
n=$(cat {count} 2>/dev/null || echo 0); echo $((n + 1)) >{count}
if [ "$n" -eq {at} ]; then kill -9 $PPID; exit 1; fi
exec {program} "$@"
"""


@pytest.mark.parametrize("proven", [False, True])
def test_a_power_cut_between_any_two_steps_leaves_a_version_that_starts(
    release: Release, places: Places, tmp_path: Path, *, proven: bool
) -> None:
    bundle, at, cuts = release.bundle(1), 0, 0
    while True:
        box = tmp_path / f"cut-{at}"
        shutil.copytree(places.home, box, symlinks=True)
        here = Places(home=box, release_key=places.release_key)
        put_on_trial(bundle, here, build=light)
        tools, count = tmp_path / f"tools-{at}", tmp_path / f"count-{at}"
        tools.mkdir()
        for tool in ("mv", "ln", "sync", "rm"):
            path = tools / tool
            path.write_text(CUT.format(count=count, at=at, program=shutil.which(tool)))
            path.chmod(0o755)
        if proven:
            start(here)
            (here.home / "proven").write_text("1.1-1\n")
        cut = [start(here, environment={"PATH": f"{tools}:{os.environ['PATH']}"}) for _ in range(STARTS + 2)]
        cuts += sum(done.returncode < 0 for done in cut)
        # Whatever was cut off, the next starts end the trial, and what runs is a whole version.
        for _ in range(STARTS + 2):
            assert start(here).returncode == 0
            assert (here.home / "current" / "bin" / "veilleur").exists()
        assert current(here) == ("1.1-1" if proven else "1.0-0")
        assert not here.trial.exists()
        if not any(done.returncode < 0 for done in cut):
            break
        at += 1
    assert cuts == at > 0


def test_a_power_cut_while_it_is_built_leaves_what_ran_and_can_be_done_again(release: Release, places: Places) -> None:
    class PowerCutError(BaseException):
        """Nothing in the program catches it."""

    def cut(_: Manifest, unpacked: Path, place: Path) -> None:
        shutil.copytree(unpacked, place)
        raise PowerCutError

    with pytest.raises(PowerCutError):
        put_on_trial(release.bundle(1), places, build=cut)
    start(places)
    assert current(places) == "1.0-0"
    assert put_on_trial(release.bundle(1), places, build=light) == "1.1-1"


@pytest.mark.process
def test_a_box_leaves_the_name_of_its_version_once_it_has_proven_itself(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    with running(config) as (_, ears):
        assert ears.recv(64) == b"WATCHDOG=1"
        assert (tmp_path / "state" / "proven").read_text() == f"{Path(sys.prefix).resolve().name}\n"

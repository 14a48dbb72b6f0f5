"""Where mosquitto comes from, tried on a package archive of our own: apt and dpkg are the real ones, the net is not."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators import mosquitto
from simulators.mosquitto import BrokerUnavailableError, find_mosquitto

# The packaged program starts only when the library of the package it depends on can be found.
PROGRAM = """#!/bin/sh
for folder in $(echo "$LD_LIBRARY_PATH" | tr ':' ' '); do
    [ -e "$folder/libneeded.so.1" ] && echo "mosquitto version 2.0.99" && exit 3
done
echo "libneeded.so.1: cannot open shared object file" >&2
exit 127
"""


@dataclass
class Archive:
    """A Debian package archive in a folder, the only one that apt knows here."""

    folder: Path

    def add(self, name: str, *, file: str, content: str, depends: str = "") -> None:
        tree = self.folder / name
        place = tree / file
        place.parent.mkdir(parents=True)
        place.write_text(content)
        place.chmod(0o755)
        control = f"Package: {name}\nVersion: 2.0.99\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
        control += f"Depends: {depends}\n" if depends else ""
        control += "Description: made here\n"
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN" / "control").write_text(control)
        package = self.folder / f"{name}.deb"
        run = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
        subprocess.run(run, check=True, capture_output=True)
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        with (self.folder / "Packages").open("a") as index:
            index.write(f"{control}Filename: ./{name}.deb\nSize: {package.stat().st_size}\nSHA256: {digest}\n\n")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An empty archive on a machine that has no mosquitto, no package lists and no other archive."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "Packages").touch()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
    (tmp_path / "status").touch()
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    (tmp_path / "apt-cache" / "archives" / "partial").mkdir(parents=True)
    settings = {
        "Dir::Etc::SourceList": tmp_path / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Status": tmp_path / "status",
        "Dir::State::Lists": tmp_path / "lists",
        "Dir::Cache": tmp_path / "apt-cache",
    }
    (tmp_path / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(mosquitto, "_SYSTEM_FOLDERS", ())
    return Archive(folder)


def with_mosquitto(archive: Archive) -> Archive:
    archive.add("mosquitto", file="usr/sbin/mosquitto", content=PROGRAM, depends="libneeded1")
    archive.add("libneeded1", file="usr/lib/somewhere/libneeded.so.1", content="")
    return archive


def test_it_is_unpacked_with_what_it_needs_when_there_are_no_lists_yet(archive: Archive, tmp_path: Path) -> None:
    with_mosquitto(archive)
    found = find_mosquitto(tmp_path / "cache")
    assert found.binary == tmp_path / "cache" / "mosquitto" / "usr" / "sbin" / "mosquitto"
    assert found.fault() is None
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["mosquitto"], "nothing else is left behind"


def test_lists_that_are_there_are_used(archive: Archive, tmp_path: Path) -> None:
    with_mosquitto(archive)
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    (archive.folder / "Packages").write_text("")  # whoever read the lists again would find nothing
    assert find_mosquitto(tmp_path / "cache").fault() is None


def test_what_was_unpacked_is_used_again_without_any_archive(archive: Archive, tmp_path: Path) -> None:
    with_mosquitto(archive)
    first = find_mosquitto(tmp_path / "cache")
    (tmp_path / "sources.list").write_text("")
    assert find_mosquitto(tmp_path / "cache") == first


def test_what_no_longer_starts_is_unpacked_anew(archive: Archive, tmp_path: Path) -> None:
    with_mosquitto(archive)
    found = find_mosquitto(tmp_path / "cache")
    found.binary.write_text("#!/bin/sh\nexit 1\n")
    assert found.fault() is not None
    assert find_mosquitto(tmp_path / "cache").fault() is None


def test_the_user_s_cache_folder_is_the_place(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mosquitto(archive)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_mosquitto().binary.is_relative_to(tmp_path / "xdg" / "veilleur")


def test_an_installed_one_is_taken_as_it_is(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "mosquitto"
    program.write_text("#!/bin/sh\necho 'mosquitto version 2.0.99'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_folder), prepend=os.pathsep)
    found = find_mosquitto(tmp_path / "cache")
    assert (found.binary, found.libraries) == (program, ())
    assert not (tmp_path / "cache").exists()

    program.write_text("#!/bin/sh\necho 'Illegal instruction' >&2\nexit 132\n")
    with pytest.raises(BrokerUnavailableError, match="Illegal instruction") as caught:
        find_mosquitto(tmp_path / "cache")
    assert "--reinstall" in caught.value.hint


def sentence(cache: Path) -> str:
    with pytest.raises(BrokerUnavailableError) as caught:
        find_mosquitto(cache)
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return f"{caught.value} {caught.value.hint}"


def test_no_archive_that_has_it_is_told_in_one_plain_sentence(archive: Archive, tmp_path: Path) -> None:
    said = sentence(tmp_path / "cache")
    assert "Unable to locate package mosquitto" in said
    assert "sudo apt install mosquitto" in said
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_package_that_was_tampered_with_is_not_unpacked(archive: Archive, tmp_path: Path) -> None:
    with_mosquitto(archive)
    package = archive.folder / "mosquitto.deb"
    content = bytearray(package.read_bytes())
    content[-1] ^= 1
    package.write_bytes(content)
    assert "apt-get failed" in sentence(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_package_that_does_not_start_here_is_told(archive: Archive, tmp_path: Path) -> None:
    archive.add("mosquitto", file="usr/sbin/mosquitto", content=PROGRAM)
    assert "cannot open shared object file" in sentence(tmp_path / "cache")


def test_a_system_without_apt_is_told(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "this system has no apt-get" in sentence(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_told(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert "XDG_CACHE_HOME" in sentence(tmp_path / "cache")

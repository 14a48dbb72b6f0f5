"""Where a dbus-daemon comes from: what is told when there is none. The unpacking is tried with mosquitto's."""

from pathlib import Path

import pytest

from simulators import dbus_daemon
from simulators.dbus_daemon import DBusUnavailableError, find_dbus_daemon

WORKING = "#!/bin/sh\necho 'D-Bus Message Bus Daemon 9.9'\n"


def program(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no dbus-daemon and no apt-get."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(dbus_daemon, "_SYSTEM_FOLDERS", ())


def test_an_installed_one_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = program(tmp_path / "bin" / "dbus-daemon", WORKING.replace("echo", "/bin/echo"))
    found = find_dbus_daemon(tmp_path / "cache")
    assert (found.binary, found.libraries) == (installed, ())
    assert not (tmp_path / "cache").exists()


def test_an_installed_one_that_does_not_start_is_told(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "dbus-daemon", "#!/bin/sh\necho 'Illegal instruction' >&2\nexit 132\n")
    with pytest.raises(DBusUnavailableError, match="Illegal instruction"):
        find_dbus_daemon(tmp_path / "cache")


def test_one_that_was_unpacked_is_used_again_with_its_libraries(tmp_path: Path) -> None:
    home = tmp_path / "cache" / "dbus"
    binary = program(home / "usr" / "bin" / "dbus-daemon", WORKING)
    program(home / "usr" / "lib" / "libdbus-1.so.3", "")
    found = find_dbus_daemon(tmp_path / "cache")
    assert (found.binary, found.libraries) == (binary, (home / "usr" / "lib",))
    assert found.environment()["LD_LIBRARY_PATH"].startswith(str(home / "usr" / "lib"))


def test_a_machine_that_has_none_and_can_fetch_none_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(DBusUnavailableError, match="this system has no apt-get") as refused:
        find_dbus_daemon(tmp_path / "cache")
    assert "sudo apt install dbus" in refused.value.hint
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DBusUnavailableError) as refused:
        find_dbus_daemon(tmp_path / "cache")
    assert "XDG_CACHE_HOME" in refused.value.hint

"""A real systemd, as a manager of its own beside whatever runs this machine, to run the shipped unit under.

It is systemd's user manager run as root in a mount namespace and a cgroup of its own, so that it can sandbox; what a
user manager cannot do is taken out of the unit (`adapted`): the user, the encrypted credential (it has no host key),
and the ordering after system units. All that hardens stays as it is.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent.box_kit import ROOT

WITHIN_S = 30
SYSTEMD = Path("/usr/lib/systemd/systemd")
CGROUPS = tuple(map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")))

# What is laid over inaccessible paths comes from /run/systemd/inaccessible, which the system's own manager makes.
_START = """
for group in $GROUPS_OF_OURS; do echo $$ >"$group/cgroup.procs"; done
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/systemd/inaccessible/dir
cd /run/systemd/inaccessible && : >reg && mkfifo fifo && mknod chr c 0 0 && mknod blk b 0 0 && chmod 000 ./*
cd /
exec "$@"
"""
_LEFT_OUT = (
    "ExecStartPre=",
    *("User=", "Group=", "LoadCredentialEncrypted=", "After=", "Wants=", "Requires="),
    # The Python that tests may lie in somebody's home.
    "ProtectHome=",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """A systemd that runs.

    Attributes:
        folder: for what its services read and write.
        units: where it looks for units.
        state: where StateDirectory=veilleur is.
    """

    folder: Path
    units: Path
    state: Path
    environment: dict[str, str]

    def ctl(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["systemctl", "--user", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            logs = [path.read_text()[-2000:] for path in sorted(self.folder.glob("*.log"))]
            pytest.fail("\n".join([f"systemctl {' '.join(arguments)}: {done.stderr}", *logs]))
        return done.stdout.strip()

    def shown(self, unit: str, name: str) -> str:
        return self.ctl("show", unit, f"--property={name}", "--value")


def adapted(unit: str, folder: Path, *, start: str, more: str = "") -> str:
    """The shipped unit with another command, under a user manager."""
    lines = [line for line in unit.splitlines() if not line.startswith(_LEFT_OUT)]
    lines = [f"ExecStart={start}" if line.startswith("ExecStart=") else line for line in lines]
    # PrivateTmp would hide a checkout that lies there.
    hidden = [
        path for path in (ROOT, Path(sys.prefix)) if path.is_relative_to("/tmp") or path.is_relative_to("/var/tmp")
    ]
    more = "\n".join([more, *(f"BindReadOnlyPaths={path}" for path in hidden)])
    ours = (
        f"BindPaths={folder}\nStandardOutput=append:{folder}/box.log\nStandardError=append:{folder}/box.log\n{more}\n"
    )
    before, install, after = "\n".join(lines).partition("[Install]")
    return f"{before}\n{ours}{install}{after}\n"


@contextmanager
def service_manager() -> Iterator[Manager]:
    """A manager for as long as the block lasts; skips where none can run."""
    if os.geteuid() != 0 or not SYSTEMD.exists() or shutil.which("unshare") is None:
        pytest.skip("needs systemd: root and systemd's own program")
    groups = [path / f"veilleur-{os.getpid()}" for path in CGROUPS if (path / "cgroup.procs").exists()]
    if not groups:
        pytest.skip("needs systemd: no cgroups here")
    # Not where PrivateTmp would hide it: what a manager lays over inaccessible paths is in its own folder.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veilleur"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sd-", dir=cache) as name:
        folder = Path(name)
        for part in ("run", "config/systemd/user"):
            (folder / part).mkdir(parents=True)
        (folder / "config/systemd/user/quiet.target").write_text("[Unit]\nDescription=Nothing by itself\n")
        clean = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        environment = clean | {
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOME": str(folder),
            "GROUPS_OF_OURS": " ".join(map(str, groups)),
            "SYSTEMD_LOG_TARGET": "console",
        }
        manager = Manager(
            folder=folder,
            units=folder / "config/systemd/user",
            state=folder / "config" / "veilleur",
            environment=environment,
        )
        try:
            for group in groups:
                group.mkdir()
        except OSError as error:
            pytest.skip(f"needs systemd: no cgroup of one's own ({error.strerror})")
        with (folder / "manager.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private", "sh", "-ec", _START, "sh"),
                    *(str(SYSTEMD), "--user", "--unit=quiet.target"),
                ],
                env=environment,
                stdout=log,
                stderr=log,
            )
        try:
            _await(manager, process)
            yield manager
        finally:
            manager.ctl("stop", "veilleur.service", check=False)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for group in groups:
                _remove(group)


def _await(manager: Manager, process: "subprocess.Popen[bytes]") -> None:
    """Return once the manager answers; each try is a process of its own, which takes its time."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.skip(f"needs systemd: it ended, {(manager.folder / 'manager.log').read_text()[-300:]}")
        if manager.ctl("show", "--property=Version", "--value", check=False):
            return
    pytest.skip("needs systemd: it does not answer")


def _remove(group: Path) -> None:
    for path in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            path.rmdir()
    with suppress(OSError):
        group.rmdir()

"""What `veilleur run` costs until it is ready: its kernel compiled ahead of time, kept on disk, or compiled anew.

Readiness is what systemd would hear (READY=1). There is no broker and no adapter: the box is ready to keep and judge
all the same. CPU seconds and peak memory are the operating system's own count for the process. Beside them stands what
the libraries of the box cost that only imports them. What Python compiles once at installation is there already.

pandas is hidden from the box: sqlite-utils imports it where it is installed, and on no box it is.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alerting import compiled
from alerting.compiled import Kind
from benchmarks.figure import say
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from simulators.broker import Certificates

ROUNDS = 5
COLD_ROUNDS = 2

BOX = """
import sys
sys.modules["pandas"] = None
from agent.cli import main
main()
"""
IMPORTED = """
import sys
sys.modules["pandas"] = None
import agent.daemon, agent.settings_file, devices.bleak_radio, devices.bluez_adapter, devices.bluez_bonds
print(*(name for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")))
"""
"""Prints what the box imports of others, in the order in which it was there."""
IMPORTS = """
import importlib, sys, time
sys.modules["pandas"] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.process_time(), int(peak) / 1024)
"""
SOURCE = {"VEILLEUR_KERNEL": "source"}


def settings(folder: Path) -> Path:
    """Write the shipped settings with real keys beside them, and return the file."""
    keys = folder / "keys"
    keys.mkdir()
    SigningKey.generate().save(keys / "signing.key")
    write_team_keys(
        keys / "team.json",
        TeamKeys(
            recipients=(Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),),
            receipt_signers=(ReceiptSigner.of(SigningKey.generate()),),
        ),
    )
    files = Certificates(folder / "certificates").client("box-0001")
    for source, name in ((files.ca, "ca.pem"), (files.certificate, "box-0001.pem"), (files.key, "box-0001.key")):
        shutil.copy(source, keys / name)
    text = Path("configs/agent.toml").read_text(encoding="utf-8")
    text = text.replace("broker.example.org", "127.0.0.1").replace("/var/lib/veilleur", "state")
    path = folder / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return path


def once(config: Path, **environment: str) -> tuple[float, float, float]:
    """Start a box and stop it when it is ready; return CPU seconds, wall seconds and peak MiB until then."""
    address = str(config.parent / "notify")
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(address)
        ears.settimeout(600)
        began = time.perf_counter()
        command = [sys.executable, "-c", BOX, "run", "--config", str(config)]
        with subprocess.Popen(
            command, env={**os.environ, **environment, "NOTIFY_SOCKET": address}, stderr=subprocess.DEVNULL
        ) as box:
            while ears.recv(64) != b"READY=1":
                pass
            wall = time.perf_counter() - began
            fields = Path(f"/proc/{box.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            status = Path(f"/proc/{box.pid}/status").read_text(encoding="utf-8")
            peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
            box.terminate()
    return cpu, wall, peak


def imports() -> tuple[float, float]:
    """Return CPU seconds and peak MiB of a process that imports the box's libraries, without the kernel's compiler."""
    names = subprocess.run([sys.executable, "-c", IMPORTED], check=True, capture_output=True, text=True).stdout.split()
    told = subprocess.run([sys.executable, "-c", IMPORTS, *names], check=True, capture_output=True, text=True).stdout
    cpu, peak = (float(number) for number in told.split())
    return cpu, peak


def figures() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = settings(folder)
        os.environ |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
        once(config)
        kinds: dict[Kind, list[tuple[float, float, float]]] = {}
        if compiled.kind is Kind.AHEAD_OF_TIME:
            imported = [imports() for _ in range(ROUNDS)]
            say("start.imports.cpu", "s", [run[0] for run in imported])
            say("start.imports.peak_memory", "MiB", [run[1] for run in imported])
            kinds[Kind.AHEAD_OF_TIME] = [once(config) for _ in range(ROUNDS)]
        else:
            print(f"start: not measured ahead of time: {compiled.why and compiled.why.en}", file=sys.stderr)
        caches = [str(folder / f"cache-{number}") for number in range(COLD_ROUNDS)]
        kinds[Kind.AT_START] = [once(config, NUMBA_CACHE_DIR=cache, **SOURCE) for cache in caches]
        kinds[Kind.KEPT] = [once(config, NUMBA_CACHE_DIR=caches[0], **SOURCE) for _ in range(ROUNDS)]
    for kind, runs in kinds.items():
        say("start.cpu", "s", [run[0] for run in runs], kernel=kind)
        say("start.wall", "s", [run[1] for run in runs], kernel=kind)
        say("start.peak_memory", "MiB", [run[2] for run in runs], kernel=kind)

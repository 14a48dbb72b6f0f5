"""What `veilleur run` costs until it is ready, with the JIT cache cold and warm.

Readiness is what systemd would hear (READY=1). There is no broker and no adapter: the box is ready to keep and judge
all the same. CPU seconds and peak memory are the kernel's own count for the process.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import say
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from simulators.broker import Certificates

WARM_ROUNDS = 5
COLD_ROUNDS = 2


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


def once(config: Path, cache: Path) -> tuple[float, float, float]:
    """Start a box and stop it when it is ready; return CPU seconds, wall seconds and peak MiB until then."""
    address = str(config.parent / "notify")
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(address)
        ears.settimeout(120)
        began = time.perf_counter()
        command = [str(Path(sys.executable).with_name("veilleur")), "run", "--config", str(config)]
        environment = {**os.environ, "NOTIFY_SOCKET": address, "NUMBA_CACHE_DIR": str(cache)}
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as box:
            while ears.recv(64) != b"READY=1":
                pass
            wall = time.perf_counter() - began
            fields = Path(f"/proc/{box.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            status = Path(f"/proc/{box.pid}/status").read_text(encoding="utf-8")
            peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
            box.terminate()
    return cpu, wall, peak


def figures() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = settings(folder)
        cold = [once(config, folder / f"cache-{number}") for number in range(COLD_ROUNDS)]
        warm = [once(config, folder / "cache-0") for _ in range(WARM_ROUNDS)]
    for cache, runs in (("cold", cold), ("warm", warm)):
        say("start.cpu", "s", [run[0] for run in runs], jit_cache=cache)
        say("start.wall", "s", [run[1] for run in runs], jit_cache=cache)
        say("start.peak_memory", "MiB", [run[2] for run in runs], jit_cache=cache)

"""The box as a process of its own, with its settings, its keys and the ears of its service manager."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from simulators.broker import Certificates, ClientFiles
from simulators.processes import command

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def write_settings(folder: Path, *, files: ClientFiles | None = None, port: int = 8883) -> Path:
    """The shipped settings, with real keys beside them; without `files` the broker is one that is not there."""
    keys = folder / "keys"
    keys.mkdir()
    SigningKey.generate().save(keys / "signing.key")
    team = TeamKeys(
        recipients=(Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(SigningKey.generate()),),
    )
    write_team_keys(keys / "team.json", team)
    files = files or Certificates(folder / "certificates").client("box-0001")
    for source, name in ((files.ca, "ca.pem"), (files.certificate, "box-0001.pem"), (files.key, "box-0001.key")):
        shutil.copy(source, keys / name)
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8")
    text = text.replace("broker.example.org", "127.0.0.1").replace("/var/lib/veilleur", "state")
    text = text.replace("port = 8883", f"port = {port}")
    path = folder / "agent.toml"
    path.write_text(text.replace("settle = 60.0", "settle = 0.05"), encoding="utf-8")
    return path


@contextmanager
def running(
    config: Path,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    output: int = subprocess.PIPE,
    program: Path | None = None,
) -> Iterator[tuple["subprocess.Popen[str]", socket.socket]]:
    """A box that said READY=1, and the ears of its service manager; `prefix` starts it, `program` is another one."""
    with listening_manager(config.parent) as ears:
        box = subprocess.Popen(
            [*prefix, program or command("veilleur"), "run", "--config", str(config)],
            env={**os.environ, **(environment or {}), "NOTIFY_SOCKET": str(config.parent / "notify")},
            stderr=output,
            text=True,
        )
        try:
            while ears.recv(64) != b"READY=1":
                pass
            yield box, ears
        finally:
            box.kill()
            box.communicate()


@contextmanager
def listening_manager(folder: Path) -> Iterator[socket.socket]:
    """What systemd listens on (sd_notify(3)): a socket of datagrams named in NOTIFY_SOCKET."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(address))
        ears.settimeout(PATIENCE_S)
        yield ears

"""A team and one box as installed: real programs over a real broker, for tests in which people give orders."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result

from coordination.cli import main
from coordination.person_key import Cost, make_person_key, open_person_key
from exchange.identity import OpeningKey, SigningKey
from simulators.broker import Broker
from simulators.processes import command
from tests.coordination.kit import BOX, PATIENT, Team, is_file
from tests.exchange.office import DAY, NURSE, OPERATOR, PHYSICIAN, Office

PINS = {NURSE: "sommeil léger 7", PHYSICIAN: "trois pommes vertes", OPERATOR: "2718281828"}
ROOT = Path(__file__).parents[2]
VOUCHED = (
    "from agent.clock_trust import LinuxTime; LinuxTime.synchronised = lambda self: True;"
    "from agent.cli import main; main()"
)
"""`veilleur run` on a machine whose clock is right: whether this one's is, nobody knows, and orders wait for that."""


class TeamAndBox:
    """A team with its people's keys and its inbox, and one box, as installed."""

    def __init__(self, folder: Path, team: Team, broker: Broker) -> None:
        self.folder = folder
        self.team = team
        self.office = Office(receipt=team.receipt, opening=team.opening)
        for name, pin in PINS.items():
            path = folder / f"{name}.key"
            make_person_key(path, name=name, pin=pin, cost=Cost(memory_kib=19_456, passes=2))
            self.office.people[name] = (self.office.people[name][0], open_person_key(path, pin))
        self.box = folder / "box"
        keys = self.box / "keys"
        keys.mkdir(parents=True)
        signing, opening = SigningKey.generate(), OpeningKey.generate()
        signing.save(keys / "signing.key")
        opening.save(keys / "opening.key")
        self.list_people()
        files = broker.certificates.client(BOX)
        for source, name in ((files.ca, "ca.pem"), (files.certificate, f"{BOX}.pem"), (files.key, f"{BOX}.key")):
            shutil.copy(source, keys / name)
        text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8")
        for before, after in (
            ("broker.example.org", broker.host),
            ("port = 8883", f"port = {broker.port}"),
            ("/var/lib/veilleur", "state"),
            ("# opening_key = ", "opening_key = "),
            ("settle = 60.0", "settle = 0.05"),
        ):
            assert before in text, before
            text = text.replace(before, after)
        text, pinned = re.subn(
            r'# team_roots = \["[0-9a-f]{64}"\]', f'team_roots = ["{self.office.root.public.hex()}"]', text
        )
        assert pinned == 1
        (self.box / "agent.toml").write_text(text, encoding="utf-8")
        inbox = broker.certificates.client("inbox-1")
        team.boxes = {BOX: signing}
        self.desk = team.write_settings(
            broker=f"host = '{broker.host}'\nport = {broker.port}\nca = '{inbox.ca}'\n"
            f"certificate = '{inbox.certificate}'\nkey = '{inbox.key}'"
        )
        settings = self.desk.read_text(encoding="utf-8")
        line = f"id = '{BOX}'\n"
        self.desk.write_text(
            settings.replace(line, f"{line}opening_key = '{opening.public.hex()}'\n"), encoding="utf-8"
        )

    def list_people(self) -> None:
        """Give the box the list of the office's people; it is read when the box first starts."""
        now = time.time_ns() // 1_000_000
        listed = self.office.team_list(issued_at=now - DAY, expires_at=now + 60 * DAY)
        (self.box / "keys" / "team.json").write_bytes(listed)

    def desk_command(self, *words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(main, list(words), input=typed, env={"VEILLEUR_DESK_CONFIG": str(self.desk)})
        assert done.exit_code == 0, done.output
        return done

    def send(self, text: str, *names: str) -> None:
        """Prepare, sign and send a protocol as people do."""
        protocol, asked = self.folder / "new.toml", self.folder / "request.json"
        protocol.write_text(text, encoding="utf-8")
        self.desk_command("request", "protocol", str(protocol), "--box", BOX, "--patient", PATIENT, "--out", str(asked))
        for name in names:
            shown = self.desk_command("sign", str(asked), "--key", str(self.folder / f"{name}.key"), typed=PINS[name])
            assert "hypo_level_1" in shown.output
            assert PINS[name] not in shown.output
        self.desk_command("send", str(asked))

    def commands(self) -> list[dict[str, object]]:
        said = self.desk_command("commands", "--json").output
        return [msgspec.json.decode(line, type=dict[str, object]) for line in said.splitlines()]

    def status(self) -> dict[str, Any]:
        line = [command("veilleur"), "status", "--config", str(self.box / "agent.toml"), "--json"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
        shown: dict[str, Any] = json.loads(done.stdout)
        return shown

    @contextmanager
    def running_box(self, program: str = VOUCHED) -> Iterator["subprocess.Popen[bytes]"]:
        address = str(self.box / "notify")
        Path(address).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
            ears.bind(address)
            ears.settimeout(60)
            line = [sys.executable, "-c", program, "run", "--config", str(self.box / "agent.toml")]
            with (self.box / "log").open("ab") as log:
                process = subprocess.Popen(line, env={**os.environ, "NOTIFY_SOCKET": address}, stderr=log)
            try:
                while ears.recv(64) != b"READY=1":
                    pass
                yield process
            finally:
                process.kill()
                process.wait()

    @contextmanager
    def running_inbox(self) -> Iterator[None]:
        code = "from coordination.cli import main; main()"
        with (self.folder / "inbox.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-c", code, "inbox", "--config", str(self.desk)], stderr=log)
        try:
            until(self.desk_ready)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0

    def desk_ready(self) -> bool:
        """Whether the inbox has made its database."""
        if is_file(self.team.database) and not self.team.database.exists():
            return False
        done = CliRunner().invoke(main, ["commands", "--json"], env={"VEILLEUR_DESK_CONFIG": str(self.desk)})
        return done.exit_code == 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)

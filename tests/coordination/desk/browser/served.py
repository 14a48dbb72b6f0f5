"""A desk served by the real command over a team's settings, with the team's people already signed in."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from coordination.desk_settings import DeskSettings
from simulators.broker import free_port
from simulators.processes import command

_OFFERED = 'second_factor = "offered"\n' if "second_factor" in DeskSettings.__struct_fields__ else ""
"""The sessions of these tests are made without signing in; that second factors are required has tests of its own."""
START_WITHIN_S = 120.0
REPOSITORY = Path(__file__).parents[4]


@dataclass
class Served:
    """A folder with a team's settings, and its desk while it is served."""

    folder: Path

    def __post_init__(self) -> None:
        self.settings = self.folder / "desk.toml"
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def name_desk(self) -> None:
        """Add the desk to the settings."""
        with self.settings.open("a", encoding="utf-8") as file:
            file.write(f"\n[desk]\nport = {self.port}\nhttps = false\n{_OFFERED}")

    def admit(self) -> None:
        """Open the accounts of PEOPLE in a process of their own, and sign everybody in."""
        said = json.loads(self._run(sys.executable, "-m", "tests.coordination.desk.browser.accounts"))
        self.cookie, self.sessions = str(said["cookie"]), dict(said["sessions"])
        self.passkey = str(said["passkey"])

    def start(self) -> None:
        """Serve, until told to stop; returns when the desk answers."""
        with (self.folder / "serve.log").open("ab") as log:
            self._server = subprocess.Popen(
                [command("veilleur-desk"), "serve", "--config", str(self.settings)], stdout=log, stderr=log
            )
        until = time.monotonic() + START_WITHIN_S
        while self._server.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.origin}/sante", timeout=5):
                    return
            except urllib.error.URLError:
                # Nothing tells when it listens: it is asked again, a little later.
                time.sleep(0.05)
        raise RuntimeError(f"the desk did not come up: {self.log()}")

    def stop(self) -> None:
        if self._server is not None:
            # It ends by itself, whatever pages are open.
            server, self._server = self._server, None
            server.terminate()
            try:
                server.wait(timeout=30)
            finally:
                server.kill()

    def log(self) -> str:
        """What the server said so far: nothing, as long as nothing breaks.

        That it ended while pages were open, it says itself.
        """
        lines = (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines if "timeout graceful shutdown exceeded" not in line)

    def _run(self, *words: str) -> bytes:
        """Run a command whose last word is the settings file, and return what it printed."""
        done = subprocess.run(
            [*words, str(self.settings)],
            cwd=REPOSITORY,
            capture_output=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        return done.stdout

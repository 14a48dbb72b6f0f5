"""`veilleur upgrade FILE`: a signed version is built beside the one that runs, and put on trial.

- Verified first (signature, serial, sums), then built in a folder of its own, then put on trial by one file that
  appears at once. A power cut at any moment leaves the version that ran, or the trial.
- deploy/trial.sh, before each start, switches to the version on trial, counts its starts, and takes it back when the
  box has not proven itself. Which version proved itself, the box says in its state folder (`alive`).
- A serial that is not higher than every one tried before is refused: an old version with an old fault cannot be
  brought back by whoever holds an old file.

It runs as root, since the box itself may not write its program. Not here: the file's form (upgrade_bundle).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from agent.upgrade_bundle import Manifest, UpgradeError, read_manifest, unpack
from alerting.alert import Sentence
from exchange.durable_file import sync_folder

STARTS: Final = 3
"""How often a version on trial is started before it is taken back."""
_BUILD_S: Final = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are.

    Attributes:
        home: of the program: versions/, current, serial, trial.
        release_key: the pinned public key, 64 hexadecimal digits.
    """

    home: Path = Path("/opt/veilleur")
    release_key: Path = Path("/etc/veilleur/release.key")

    @property
    def trial(self) -> Path:
        """There while a version is on trial: from, to, serial, starts left."""
        return self.home / "trial"


Build = Callable[[Manifest, Path, Path], None]
"""Builds a version from unpacked files (second) in a folder (third)."""


def put_on_trial(bundle: Path, places: Places, *, build: Build | None = None) -> str:
    """Verify a bundle, build its version and put it on trial from the next start on; return its name.

    Raises:
        UpgradeError: refused; what runs goes on.
        OSError: the disk refuses.
    """
    key = _pinned(places.release_key)
    with bundle.open("rb") as file:
        manifest = read_manifest(file, release_key=key)
        _require_news(manifest, places)
        name = f"{manifest.version}-{manifest.serial}"
        with TemporaryDirectory(dir=places.home, prefix=".unpacked-") as unpacked:
            unpack(file, manifest, Path(unpacked))
            place = places.home / "versions" / name
            # What a power cut left half built.
            shutil.rmtree(place, ignore_errors=True)
            try:
                (build or build_venv)(manifest, Path(unpacked), place)
            except (OSError, subprocess.SubprocessError) as error:
                shutil.rmtree(place, ignore_errors=True)
                raise _not_built(error) from error
    os.sync()
    current = (places.home / "current").readlink().name
    _put(places.trial, f"{current} {name} {manifest.serial} {STARTS}\n")
    return name


def said_of(name: str) -> Sentence:
    """Return what to do with a version that is ready."""
    return Sentence(
        fr=f"{name} est prête : « systemctl restart veilleur » la met à l'essai ; elle est retirée si elle échoue.",
        en=f"{name} is ready: 'systemctl restart veilleur' puts it on trial; it is taken back if it fails.",
    )


def _pinned(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise UpgradeError(
            "signer",
            Sentence(
                fr=f"Aucune clé de version n'est fixée sur ce boîtier ({path}).",
                en=f"No release key is pinned on this box ({path}).",
            ),
            Sentence(
                fr="La fixer par deploy/install.sh --release-key.", en="Pin it with deploy/install.sh --release-key."
            ),
        ) from error


def _require_news(manifest: Manifest, places: Places) -> None:
    if places.trial.exists():
        raise UpgradeError(
            "replay",
            Sentence(fr="Une mise à jour est déjà à l'essai.", en="An upgrade is on trial already."),
            Sentence(
                fr="Attendre qu'elle ait fait ses preuves, ou redémarrer le boîtier.",
                en="Wait until it has proven itself, or restart the box.",
            ),
        )
    try:
        newest = int((places.home / "serial").read_text(encoding="ascii"))
    except FileNotFoundError:
        newest = 0
    if manifest.serial <= newest:
        raise UpgradeError(
            "replay",
            Sentence(
                fr=f"Cette mise à jour (n° {manifest.serial}) n'est pas plus récente que la dernière (n° {newest}).",
                en=f"This upgrade (no. {manifest.serial}) is not newer than the last one (no. {newest}).",
            ),
            Sentence(
                fr="Demander la dernière version à l'équipe.",
                en="Ask the team for the latest version.",
            ),
        )


def build_venv(manifest: Manifest, unpacked: Path, place: Path) -> None:
    """Build a virtual environment from what was unpacked, without any network.

    Raises:
        OSError, SubprocessError: it cannot be built.
    """
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    offline = [*pip, "--no-index", "--find-links", str(unpacked)]
    for line in (
        [sys.executable, "-m", "venv", str(place)],
        [*offline, "--require-hashes", "-r", str(unpacked / manifest.requirements)],
        [*offline, "--no-deps", str(unpacked / manifest.wheel)],
        [str(place / "bin" / "veilleur"), "--version"],
    ):
        subprocess.run(line, check=True, capture_output=True, timeout=_BUILD_S)  # noqa: S603 - our own programs


def _not_built(error: Exception) -> UpgradeError:
    said = getattr(error, "stderr", None) or b""
    last = (said.decode(errors="replace").strip().splitlines() or [str(error)])[-1]
    return UpgradeError(
        "build",
        Sentence(
            fr=f"La nouvelle version ne s'installe pas ({last}).", en=f"The new version does not install ({last})."
        ),
        Sentence(
            fr="Le boîtier continue avec la sienne ; signaler ces mots à l'équipe.",
            en="The box goes on with its own; tell the team these words.",
        ),
    )


def _put(path: Path, text: str) -> None:
    """Write a file, complete or not at all, on the disk."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)

"""Where care protocols come from: those that ship with the program, and files.

What is not here: what they mean (alerting.protocol_file).
"""

from importlib.resources import files
from pathlib import Path

from alerting.alert import Sentence
from alerting.protocol_file import Packs
from alerting.toml_text import MOST_CHARACTERS
from coordination.errors import SettingsError
from exchange.bounded_file import read_bounded


def packaged_protocols() -> tuple[str, ...]:
    """Return the names of the protocols that ship with the program."""
    folder = files("configs").joinpath("protocols")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def protocol_bytes(name: str, folder: Path) -> bytes:
    """Return a packaged protocol, or the file of that name in `folder`.

    Raises:
        OSError: there is no such file.
    """
    if name in packaged_protocols():
        return files("configs").joinpath("protocols").joinpath(f"{name}.toml").read_bytes()
    return read_bounded(folder / name, MOST_CHARACTERS)


def pack_bytes(name: str, folder: Path) -> bytes:
    """Return the same for a pack.

    Raises:
        LookupError: there is no such file.
    """
    try:
        return protocol_bytes(name, folder)
    except OSError as error:
        raise LookupError(name) from error


def protocol_with_packs(name: str) -> tuple[bytes, Packs]:
    """Return the file of a protocol, packaged or relative to here, and what finds its packs.

    Raises:
        SettingsError: there is no such file.
    """
    folder = Path(name).parent
    try:
        return protocol_bytes(name, Path()), lambda pack: pack_bytes(pack, folder)
    except OSError as error:
        known = ", ".join(packaged_protocols())
        fault = Sentence(fr=f"ni un fichier lisible ni l'un de : {known}", en=f"neither a file nor one of: {known}")
        raise SettingsError(name, (fault,)) from error

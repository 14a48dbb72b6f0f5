"""An upgrade in one file: what is in it is signed by the team's release key, and nothing is believed before that.

    "veilleur-upgrade-1", a line feed | length of the manifest, 4 bytes | manifest, JSON | signature, 64 bytes | files

The signature is Ed25519, over a label and the manifest, which holds the size and SHA-256 of each file, in order. So the
manifest is not decoded before its signature is verified, and no file is used before its sum is.

Not here: what is done with it (upgrade), and the key's own safety: it is kept offline by whoever makes releases.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
from msgspec import Meta, Struct

from agent.errors import AgentError
from alerting.alert import Sentence
from exchange.errors import UNDECODABLE
from exchange.identity import SIGNATURE_LENGTH, SigningKey, verify

MAGIC: Final = b"veilleur-upgrade-1\n"
_LABEL: Final = b"veilleur upgrade manifest 1\n"
_MOST_MANIFEST: Final = 1 << 16
_MOST_FILE: Final = 1 << 29
_CHUNK: Final = 1 << 20

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\Z")]
"""Of a file: no folder, no hidden file."""


class UpgradeError(AgentError):
    """An upgrade is refused, or did not prove itself.

    Attributes:
        reason: form, signer, replay, sum, build or trial.
    """

    def __init__(self, reason: str, why: Sentence, hint: Sentence) -> None:
        super().__init__(why, hint)
        self.reason = reason


class Item(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file in the bundle."""

    name: Name
    size: Annotated[int, Meta(ge=1, le=_MOST_FILE)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a bundle is.

    Attributes:
        version: of the program, as its wheel says it.
        serial: rises with each release; a box takes a higher one only, so that an old fault cannot be brought back.
        wheel: name of the box's own wheel among the files.
        requirements: name of its locked requirements, with hashes.
        files: all of them, in the order in which they follow.
    """

    version: Annotated[str, Meta(pattern=r"^[0-9][0-9A-Za-z.+]{0,40}\Z")]
    serial: Annotated[int, Meta(ge=1, le=2**53)]
    wheel: Name
    requirements: Name
    files: Annotated[tuple[Item, ...], Meta(min_length=2, max_length=200)]


def write_bundle(path: Path, files: Mapping[str, Path], *, version: str, serial: int, key: SigningKey) -> Manifest:
    """Write a bundle of these files; the first is the box's wheel, the second its locked requirements.

    Raises:
        OSError: something cannot be read or written.
    """
    items = tuple(
        Item(name=name, size=file.stat().st_size, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        for name, file in files.items()
    )
    wheel, requirements = (item.name for item in items[:2])
    manifest = Manifest(version=version, serial=serial, wheel=wheel, requirements=requirements, files=items)
    body = msgspec.json.encode(manifest)
    with path.open("wb") as bundle:
        bundle.write(MAGIC + len(body).to_bytes(4, "big") + body + key.sign(_LABEL + body))
        for file in files.values():
            bundle.write(file.read_bytes())
    return manifest


def read_manifest(bundle: BinaryIO, *, release_key: bytes) -> Manifest:
    """Return the manifest, verified; `bundle` then stands at the first file.

    Raises:
        UpgradeError: it is not a bundle (form), or not signed by the pinned key (signer).
    """
    head = bundle.read(len(MAGIC) + 4)
    length = int.from_bytes(head[len(MAGIC) :], "big")
    if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 4 or length > _MOST_MANIFEST:
        raise _malformed()
    body, signature = bundle.read(length), bundle.read(SIGNATURE_LENGTH)
    if not verify(release_key, _LABEL + body, signature):
        raise UpgradeError(
            "signer",
            Sentence(
                fr="Cette mise à jour n'est pas signée par la clé de version de l'équipe.",
                en="This upgrade is not signed by the team's release key.",
            ),
            Sentence(
                fr="Ne pas l'installer ; la redemander à l'équipe et lui signaler ce fichier.",
                en="Do not install it; ask the team for it again, and tell them about this file.",
            ),
        )
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except UNDECODABLE as error:
        raise _malformed() from error
    names = [item.name for item in manifest.files]
    if len(set(names)) < len(names) or not {manifest.wheel, manifest.requirements} <= set(names):
        raise _malformed()
    return manifest


def unpack(bundle: BinaryIO, manifest: Manifest, folder: Path) -> None:
    """Put the files into an empty folder, on the disk; each has the sum that the manifest says, or none is left.

    Raises:
        UpgradeError: cut off, altered, or longer than it should be (sum).
        OSError: they cannot be written.
    """
    for item in manifest.files:
        digest, left = hashlib.sha256(), item.size
        with (folder / item.name).open("xb") as file:
            while left and (chunk := bundle.read(min(_CHUNK, left))):
                digest.update(chunk)
                file.write(chunk)
                left -= len(chunk)
            file.flush()
            os.fsync(file.fileno())
        if left or digest.hexdigest() != item.sha256:
            raise _altered()
    if bundle.read(1):
        raise _altered()


def _malformed() -> UpgradeError:
    return UpgradeError(
        "form",
        Sentence(fr="Ce fichier n'est pas une mise à jour de Veilleur.", en="This file is not an upgrade of Veilleur."),
        Sentence(
            fr="Vérifier le nom du fichier, ou le copier à nouveau.", en="Check the file's name, or copy it again."
        ),
    )


def _altered() -> UpgradeError:
    return UpgradeError(
        "sum",
        Sentence(fr="La mise à jour est incomplète ou abîmée.", en="The upgrade is incomplete or damaged."),
        Sentence(fr="La copier à nouveau ; rien n'a été changé.", en="Copy it again; nothing was changed."),
    )

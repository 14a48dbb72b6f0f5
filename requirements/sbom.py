"""python requirements/sbom.py [REQUIREMENTS] [-o FILE]: the software bill of materials of a box, CycloneDX 1.6 as JSON.

It lists every library that is locked for the box with its version, the hashes of its files as they are locked, and the
licence that the installed library says it has. It needs no network: what is read is the locked file and the libraries
beside this interpreter. A library that is locked and not installed here, in that version, is an error: a bill that
leaves out a licence helps nobody.
"""

import argparse
import hashlib
import json
import re
import sys
import uuid
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

BOX = Path(__file__).with_name("box.txt")
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[\w,]+\])?==(?P<version>[^\s;\\]+)(?P<marker>[^\\\n]*)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One library as it is locked; `marker` says for which Python, empty for all."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


class IncompleteError(Exception):
    """The bill cannot be made whole."""


def locked(text: str) -> list[Locked]:
    """Return the libraries of a locked requirements file."""
    found: list[Locked] = []
    for block in re.split(r"\n(?=\S)", text):
        pinned = _PINNED.match(block)
        if pinned is not None:
            marker = pinned["marker"].strip().removeprefix(";").strip()
            hashes = tuple(_HASH.findall(block))
            found.append(Locked(name=pinned["name"], version=pinned["version"], marker=marker, hashes=hashes))
    return found


def licence(installed: Distribution) -> dict[str, object]:
    """Return the licence of a library: its SPDX expression where it has one, else what it calls it.

    Raises:
        IncompleteError: it says nothing.
    """
    about = installed.metadata
    (expression, *_) = about.get_all("License-Expression") or [""]
    if expression:
        return {"expression": expression}
    classified = [
        line.rsplit(" :: ", 1)[-1]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    (free, *_) = about.get_all("License") or [""]
    named = free.strip().splitlines()
    name = classified[0] if classified else (named[0] if named else "")
    if not name:
        raise IncompleteError(f"{about['Name']} does not say what its licence is")
    return {"license": {"name": name}}


def bill(libraries: list[Locked], *, program: str) -> dict[str, object]:
    """Return the bill of materials of version `program`.

    Raises:
        IncompleteError: naming every library that is locked and not installed here in any locked version.
    """
    components: list[dict[str, object]] = []
    lacking: list[str] = []
    versions: dict[str, list[str]] = {}
    for library in libraries:
        versions.setdefault(library.name, []).append(library.version)
    for library in libraries:
        try:
            installed = distribution(library.name)
        except PackageNotFoundError:
            lacking.append(f"{library.name}=={library.version}")
            continue
        if installed.version not in versions[library.name]:
            lacking.append(f"{library.name}=={library.version} (here {installed.version})")
            continue
        reference = f"pkg:pypi/{library.name.lower().replace('_', '-')}@{library.version}"
        component: dict[str, object] = {
            "type": "library",
            "bom-ref": reference,
            "name": library.name,
            "version": library.version,
            "purl": reference,
            "licenses": [licence(installed)],
            # CycloneDX gives a component one hash of each kind: the others are those of its other files.
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": reference,
                    "hashes": [{"alg": "SHA-256", "content": content}],
                }
                for content in library.hashes
            ],
        }
        if library.marker:
            component["properties"] = [{"name": "veilleur:for", "value": library.marker}]
        components.append(component)
    if lacking:
        raise IncompleteError(f"not installed beside this interpreter: {', '.join(lacking)}")
    # The same libraries make the same bill, byte for byte: a bill that changed says that they did.
    content = json.dumps(components, sort_keys=True).encode()
    serial = uuid.UUID(bytes=hashlib.sha256(content + program.encode()).digest()[:16], version=4)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "veilleur",
                "name": "veilleur",
                "version": program,
                "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": components,
        "dependencies": [{"ref": "veilleur", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the bill; return the exit code: 0, or 2 when it cannot be made whole."""
    parser = argparse.ArgumentParser(prog="python requirements/sbom.py", description=__doc__)
    parser.add_argument("requirements", nargs="?", type=Path, default=BOX)
    parser.add_argument("-o", "--output", type=Path)
    wanted = parser.parse_args(arguments)
    try:
        program = distribution("veilleur").version
        made = bill(locked(wanted.requirements.read_text(encoding="utf-8")), program=program)
    except (OSError, IncompleteError, PackageNotFoundError) as error:
        sys.stderr.write(f"sbom: {error}\n")
        return 2
    text = json.dumps(made, indent=2) + "\n"
    if wanted.output is None:
        sys.stdout.write(text)
    else:
        wanted.output.parent.mkdir(parents=True, exist_ok=True)
        wanted.output.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{wanted.output}: {len(made['components'])} libraries\n")  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())

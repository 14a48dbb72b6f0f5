"""Makes a signed upgrade for boxes of one kind: python deploy/make_upgrade.py --help.

Wants the box's wheel, its locked requirements, and a folder with the wheels that they name (pip download). The release
key stays on the machine where releases are made; its public half, 64 hexadecimal digits, is pinned at installation.
"""

import argparse
from pathlib import Path

from agent.upgrade_bundle import write_bundle
from exchange.identity import SigningKey


def main() -> None:
    """Write the bundle, or make the key when there is none yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--key", type=Path, required=True, help="release key; made, mode 0600, when it is not there")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--requirements", type=Path, required=True)
    parser.add_argument("--wheelhouse", type=Path, required=True)
    parser.add_argument("--serial", type=int, required=True, help="higher than that of every release before")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    if not asked.key.exists():
        SigningKey.generate().save(asked.key)
    key = SigningKey.load(asked.key)
    files = {asked.wheel.name: asked.wheel, asked.requirements.name: asked.requirements}
    files |= {path.name: path for path in sorted(asked.wheelhouse.glob("*.whl"))}
    version = asked.wheel.name.split("-")[1]
    manifest = write_bundle(asked.output, files, version=version, serial=asked.serial, key=key)
    print(f"{asked.output}: {manifest.version}, no. {manifest.serial}, {len(files)} files. Pin: {key.public.hex()}")


if __name__ == "__main__":
    main()

"""The mutants that nothing can kill, each with the reason why: read from `equivalent.toml`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).with_name("equivalent.toml")


def listed() -> Mapping[str, str]:
    """Return the reasons by the keys of the mutants.

    Raises:
        ValueError: a mutant stands there twice, or a reason says nothing.
    """
    found: dict[str, str] = {}
    for group in tomllib.loads(_FILE.read_text(encoding="utf-8"))["equivalent"]:
        for key in group["mutants"]:
            if key in found or not group["reason"].strip():
                raise ValueError(f"twice, or without a reason: {key}")
            found[key] = group["reason"]
    return found


def module_of(key: str) -> str:
    """Return the module of a mutant, by its key."""
    return key.partition(": ")[0].partition(":")[0]

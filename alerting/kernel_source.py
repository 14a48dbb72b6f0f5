"""Which files the kernel is compiled from, and their checksum: an extension that was compiled from others is refused.

The kernel imports nothing else of this package; a test holds it to that. The files are read through the import system,
without importing them.
"""

import hashlib
import pkgutil
from importlib.util import find_spec
from typing import Final

_PACKAGE: Final = "alerting"
_KERNEL: Final = "kernel"


def source_files() -> tuple[str, ...]:
    """Return the kernel's files, relative to this package, in an order that is always the same."""
    spec = find_spec(f"{_PACKAGE}.{_KERNEL}")
    rooms = [] if spec is None else spec.submodule_search_locations
    modules = sorted(module.name for module in pkgutil.iter_modules(rooms))
    return ("layout.py", *(f"{_KERNEL}/{name}.py" for name in ("__init__", *modules)))


def source_checksum() -> str:
    """Return the SHA-256 of the kernel's files and their names, in hexadecimal."""
    digest = hashlib.sha256()
    for name in source_files():
        digest.update(name.encode() + b"\0")
        digest.update(hashlib.sha256(pkgutil.get_data(_PACKAGE, name) or b"").digest())
    return digest.hexdigest()

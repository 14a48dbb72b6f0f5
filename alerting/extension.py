"""The kernel's extension, compiled ahead of time (`alerting/_kernel*.so`, made by `kernel_build.py`): found and vetted.

Rules of this room:

- It serves when it says that it was compiled from the very source that lies here. Any other is refused, with why.
- It believes what it is given, where Numba looks. So its arguments are held here to the signatures that it carries: an
  array of another type or shape never reaches it.
- VEILLEUR_KERNEL=source in the environment passes it over; so does NUMBA_DISABLE_JIT=1.

Not here: what serves in its place (`compiled`), and how it is compiled.
"""

import os
import re
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import numpy as np
from msgspec import DecodeError, Struct
from msgspec.json import decode

from alerting import layout
from alerting.alert import Sentence
from alerting.errors import AlertingError
from alerting.kernel_source import source_checksum

NAME: Final = "_kernel"

_TYPE: Final = re.compile(r"(\w+)(?:\[([^\]]*)\])?")

_NEXT: Final = Sentence(
    fr="'make kernel' dans une copie de travail, un wheel pour cette sorte de machine sur un boîtier",
    en="'make kernel' in a working copy, a wheel for this kind of machine on a box",
)

_INTEGERS: Final = (int, np.integer)

Function = Callable[..., Any]


class ExtensionError(AlertingError):
    """There is no extension, or none that may serve.

    Attributes:
        why: for whoever runs the box.
    """

    def __init__(self, why: Sentence) -> None:
        super().__init__(why.en)
        self.why = why


class Identity(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an extension says of itself.

    Attributes:
        layout: `layout.LAYOUT` of the source that it was compiled from.
        source: `source_checksum()` of it.
        signatures: of each function that it has, as Numba writes them.
    """

    layout: int
    source: str
    signatures: dict[str, str]


def extension() -> dict[str, Function]:
    """Return the functions of the extension that was compiled from the source that lies here.

    Raises:
        ExtensionError: there is none.
    """
    for name, passed_over in (("VEILLEUR_KERNEL", {"source"}), ("NUMBA_DISABLE_JIT", {"1"})):
        if (value := os.environ.get(name)) in passed_over:
            raise ExtensionError(
                Sentence(fr=f"{name}={value} demande le source", en=f"{name}={value} asks for the source")
            )
    try:
        module = import_module(f"alerting.{NAME}")
    except ModuleNotFoundError:
        raise ExtensionError(
            Sentence(
                fr=f"aucun n'a été compilé d'avance pour ce Python : {_NEXT.fr}",
                en=f"none was compiled ahead of time for this Python: {_NEXT.en}",
            )
        ) from None
    except (ImportError, RuntimeError) as error:  # of another machine; for another NumPy
        raise ExtensionError(
            Sentence(
                fr=f"celui compilé d'avance ne se charge pas ({error}) : {_NEXT.fr}",
                en=f"the one compiled ahead of time cannot be loaded ({error}): {_NEXT.en}",
            )
        ) from error
    return vetted(module)


def vetted(module: ModuleType) -> dict[str, Function]:
    """Return the functions of an extension, held to their signatures.

    Raises:
        ExtensionError: it was compiled from another source, or does not say from which.
    """
    try:
        identity = decode(module.identity(), type=Identity)
    except (AttributeError, TypeError, DecodeError):
        identity = None
    if identity is None or (identity.layout, identity.source) != (layout.LAYOUT, source_checksum()):
        raise ExtensionError(
            Sentence(
                fr=f"celui compilé d'avance ne vient pas de ce source : {_NEXT.fr}",
                en=f"the one compiled ahead of time is not of this source: {_NEXT.en}",
            )
        )
    return {name: guarded(getattr(module, name), signature) for name, signature in identity.signatures.items()}


def guarded(function: Function, signature: str) -> Function:
    """Return a function that takes what the signature says and nothing else.

    Args:
        function: takes its arguments by position.
        signature: as Numba writes it, of integers and C-contiguous arrays, such as "int64(int64[:, ::1], int64)".
    """
    wanted = [
        (np.dtype(name), axes.count(",") + 1 if axes else 0)
        for name, axes in _TYPE.findall(signature[signature.rindex("(") :])
    ]
    arrays = [(place, dtype, axes) for place, (dtype, axes) in enumerate(wanted) if axes > 0]
    numbers = [place for place, (_, axes) in enumerate(wanted) if axes == 0]
    # A stream hands over the same program, zone and state each time: what was looked at last is not looked at again.
    last: list[Any] = [None] * len(wanted)

    def hold(*arguments: Any) -> Any:  # noqa: ANN401 - what they may be stands in the signature
        if len(arguments) != len(wanted):
            raise TypeError(f"{len(arguments)} arguments for {signature}")
        for place, dtype, axes in arrays:
            array = arguments[place]
            if array is not last[place]:
                if not _fits(array, dtype, axes):
                    raise TypeError(f"argument {place} is no array of {axes} axes of {dtype} as in {signature}")
                last[place] = array
        for place in numbers:
            if not isinstance(arguments[place], _INTEGERS):
                raise TypeError(f"argument {place} is no integer as in {signature}")
        return function(*arguments)

    return hold


def _fits(array: object, dtype: np.dtype[Any], axes: int) -> bool:
    """Return whether it is an array of that type and shape, C-contiguous, aligned and writable ("carray")."""
    return type(array) is np.ndarray and array.dtype == dtype and array.ndim == axes and array.flags.carray

"""The door to the kernel: its extension, compiled ahead of time, where one may serve; its source through Numba else.

Whoever judges imports the kernel's functions from here. With the extension Numba is never imported: the box starts in
a fraction of the time and of the memory. Both give the same numbers.

Not here: what the functions do and take (`kernel`), and when an extension may serve (`extension`).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from alerting.alert import Sentence
from alerting.extension import ExtensionError, Function, extension

Words = NDArray[np.int64]


class Kind(StrEnum):
    """How the kernel that serves was compiled."""

    AHEAD_OF_TIME = "ahead of time"
    KEPT = "compiled at start, kept on disk"
    AT_START = "compiled at start"
    PLAIN = "plain Python"


def _load() -> tuple[Mapping[str, Function], Kind, Sentence | None]:
    """Return the kernel's functions by name, how they were compiled, and why not ahead of time."""
    try:
        return extension(), Kind.AHEAD_OF_TIME, None
    except ExtensionError as error:
        why = error.why
    source = import_module("alerting.kernel")
    functions = {name: getattr(source, name) for name, _, _ in source.EXPORTS}
    return functions, _kind_of(functions["judge"]), why


def _kind_of(function: Function) -> Kind:
    """Return how a function of the source was compiled."""
    stats = getattr(function, "stats", None)
    if stats is None:
        return Kind.PLAIN
    return Kind.AT_START if stats.cache_path is None else Kind.KEPT


_functions, kind, why = _load()

judge: Callable[[Words, Words, Words, Words, Words, Words, Words], tuple[int, int]] = _functions["judge"]
advance: Callable[[Words, Words, Words, int, Words], int] = _functions["advance"]
next_deadline: Callable[[Words, Words, Words], int] = _functions["next_deadline"]

"""How the kernel's functions are compiled: at import, for one signature, kept on disk where a place can be written.

The place is NUMBA_CACHE_DIR, a folder beside the source or the user's own cache directory; where there is none the
functions are compiled again at each start. Numba looks at the date and size of a function's own file and takes what it
kept for granted, though a constant or another function that went into it has changed. So the folder is named after the
checksum of the whole source: what was compiled from another is never met.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from alerting.kernel_source import source_checksum

Words = NDArray[np.int64]
Floats = NDArray[np.float64]
_config: Any = numba.config
"""Its names are not to be seen by a checker of types."""
Function = TypeVar("Function", bound=Callable[..., Any])


def kept_in() -> str:
    """Return the folder in which what is compiled of this very source is kept, whether or not it can be written."""
    room = Path(__file__).parent
    own = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "veilleur"
    place = Path(_config.CACHE_DIR or (room / "__pycache__" if os.access(room, os.W_OK) else own))
    return str(place / f"kernel-{source_checksum()[:16]}")


_config.CACHE_DIR = kept_in()


def compiled(signature: str, *, allocates: bool = False) -> Callable[[Function], Function]:
    """Return a decorator that compiles for one signature.

    A function that makes no array is compiled without Numba's counting of references, which took half of the kernel's
    time. The option is Numba's own business (`_nrt`): should it go, only speed goes with it. No division is by zero, so
    it is not asked at each (`error_model`).
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if not allocates:
        options["_nrt"] = False

    def compile_function(function: Function) -> Function:
        try:
            return cast("Function", numba.njit(signature, cache=True, **options)(function))
        except (RuntimeError, OSError):  # no place for the cache can be written, or its disk is full
            return cast("Function", numba.njit(signature, **options)(function))

    return compile_function

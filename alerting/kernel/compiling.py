"""How the kernel's functions are compiled: at import, for one signature, kept on disk where a place can be written.

The place is beside the source, NUMBA_CACHE_DIR or the user's own cache directory; where there is none the functions are
compiled again at each start.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int64]
Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(signature: str) -> Callable[[Function], Function]:
    """Return a decorator that compiles for one signature."""

    def compile_function(function: Function) -> Function:
        try:
            return cast("Function", numba.njit(signature, nogil=True, cache=True)(function))
        except (RuntimeError, OSError):  # no place for the cache can be written, or its disk is full
            return cast("Function", numba.njit(signature, nogil=True)(function))

    return compile_function

"""Reading a file that somebody else wrote: no more of it than it may have.

A name can lead to anything: to another disk's image, or to a device that never ends.
"""

import errno
from pathlib import Path


def read_bounded(path: Path, most: int) -> bytes:
    """Return the bytes of a file; of one that has more than `most`, the first `most` and one more.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except ValueError as error:
        # A name with a zero in it is none.
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path)) from error

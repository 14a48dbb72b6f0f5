"""Passwords, checked with Argon2id: few at a time, since each check takes 100 MiB and a third of a second.

A stranger who sends many at once makes others wait a little, never the machine run out of memory: beyond the places
there are, a check waits, and after a while its person is told to try again.

Not here: how often somebody may try (sign_in).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from django.contrib.auth.hashers import Argon2PasswordHasher

AT_ONCE: Final = 2
"""Checks at a time in one process: as many as a small server has cores, 200 MiB in all."""
WAIT_S: Final = 10.0
LONGEST: Final = 128
"""Characters of a password."""

_places = BoundedSemaphore(AT_ONCE)


class PasswordsBusyError(Exception):
    """More passwords are being checked than there are places for; nothing was checked."""


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=WAIT_S):
        raise PasswordsBusyError
    try:
        yield
    finally:
        _places.release()


class Argon2id(Argon2PasswordHasher):
    """Django's Argon2id (100 MiB, two passes, eight lanes), few at a time."""

    def encode(self, password: str, salt: str) -> str:
        """Return what is kept of a password.

        Raises:
            PasswordsBusyError: no place was free in time.
        """
        with _place():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Return whether it is the password.

        Raises:
            PasswordsBusyError: no place was free in time.
        """
        with _place():
            return super().verify(password, encoded)

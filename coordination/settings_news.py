"""Settings that changed while the inbox runs: a box or a patient that was added is received without a restart.

- The file is looked at every few seconds, and taken up once it has stood still: an editor may write it in two goes, and
  half a file may well be a valid one that names fewer boxes. SIGHUP says that it is whole, and has it read at once.
- What cannot be taken up changes nothing: the settings in use go on, and what is wrong is said once.
- Boxes, patients, their protocols and how long acts are kept can be taken up. Where the broker, the database and the
  keys are cannot: that is said, and the rest is taken up all the same. What lies in the folders of keys is looked at by
  `keys`.

Not here: what taking up means for the database and for who is watched (inbox).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from coordination.errors import SettingsError
from coordination.settings import Settings, read_settings

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""Real seconds between two looks; what was written no longer ago than that is not taken up yet."""

_FIXED = ("broker", "database", "opening_keys", "receipt_key", "enrolment")
_Stamp = tuple[int, int, int, int]


class SettingsNews:
    """The settings in use, and whether there are others."""

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with settings that were read; `now` is a monotonic clock, s."""
        self.settings = settings
        self._now = now
        self._taken = self._seen = self._look()
        self._seen_at = now()
        self._told = ""
        self._asked = False
        self.wake: Callable[[], None] = lambda: None
        """Called when it is asked to read at once."""

    def ask(self) -> None:
        """Read the file at once, however it looks (SIGHUP)."""
        self._asked = True
        self.wake()

    @property
    def waiting(self) -> bool:
        """Whether the file is to be read now."""
        stamp = self._look()
        if stamp != self._seen:
            self._seen, self._seen_at = stamp, self._now()
        return self._asked or (stamp != self._taken and self._now() - self._seen_at >= LOOK_S)

    def take_up(self) -> Settings | None:
        """Return settings that differ from those in use, which they then are; None when there are none."""
        if not self.waiting:
            return None
        self._asked, self._taken = False, self._seen
        before = self.settings
        try:
            found = read_settings(before.path, worker=before.broker.client_id)
        except SettingsError as error:
            self._say(f"the settings changed and cannot be used, the present ones go on: {error.why.en}")
            return None
        others = [name for name in _FIXED if getattr(found, name) != getattr(before, name)]
        if others:
            self._say(f"taken up only at the next start: {', '.join(others)}")
        else:
            self._told = ""
        kept = replace(found, **{name: getattr(before, name) for name in _FIXED})
        if kept == before:
            return None
        self.settings = kept
        return kept

    def _say(self, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            logger.warning("%s", sentence)

    def _look(self) -> _Stamp:
        """Return what changes when the file does; zeros while it is not there."""
        try:
            found = self.settings.path.stat()
        except OSError:
            return 0, 0, 0, 0
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

"""The team's settings as they are now, for what the desk shares with the commands: boxes, their keys, the enrolment.

The file is read again when it has changed, so that a box that was added to desk.toml needs no new start of the desk.
Not here: where the desk itself is reached, which holds from its start (site).
"""

from functools import lru_cache
from pathlib import Path

from django.conf import settings as of_django

from alerting.alert import Sentence
from coordination.box_identity import Listed
from coordination.errors import CoordinationError
from coordination.settings import Settings, read_settings

_NOTHING: Listed = {}


def team_settings() -> Settings:
    """Return the team's settings.

    Raises:
        CoordinationError: the desk was not told of a file.
        SettingsError: the file is at fault now.
    """
    path = of_django.DESK.settings_file
    if path is None:
        raise CoordinationError(
            Sentence(
                fr="Ce bureau ne connaît pas le fichier des réglages de l'équipe.",
                en="This desk does not know the file of the team's settings.",
            ),
            hint=Sentence(
                fr="Le lancer avec « veilleur-desk serve --config desk.toml ».",
                en="Start it with 'veilleur-desk serve --config desk.toml'.",
            ),
        )
    try:
        found = path.stat()
        return _read(path, found.st_mtime_ns, found.st_size, found.st_ino)
    except OSError:
        # It says what is wrong with the file.
        return read_settings(path)


@lru_cache(maxsize=2)
def _read(path: Path, *_stamp: int) -> Settings:
    return read_settings(path)


def listed_boxes() -> Listed:
    """Return the boxes of desk.toml with their keys; none while the file cannot be read: the database says the rest."""
    try:
        return team_settings().signers
    except CoordinationError:
        return _NOTHING

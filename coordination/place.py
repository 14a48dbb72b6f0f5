"""Where the team's database is: a SQLite file, or a PostgreSQL database when the team is larger."""

from pathlib import Path

Place = Path | str
"""A SQLite file, or the URL of a PostgreSQL database (postgresql://user@host/name)."""
_SCHEMES = ("postgresql://", "postgres://")


def place_of(text: str, folder: Path) -> Place:
    """Return what a text names: a URL as it stands, else a file relative to `folder`."""
    return text if text.startswith(_SCHEMES) else folder / text


def shown(place: Place) -> str:
    """Return a place as people may read it: without a password."""
    if isinstance(place, Path):
        return str(place)
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"

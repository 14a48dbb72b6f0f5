"""The origin of what reaches the team without a box: answers to questionnaires, and what the team judges of them.

Observations, devices and alerts each name a box. What has none names a row of `box` that stands for the team itself:
its name begins with "@", which no box's can, so that nothing from a broker is ever taken for it. It has no
assignment, key, status or certificate: nobody waits for it, and no command is sent to it.
"""

from coordination.sql import Sql

_PREFIX = "@team-"
IS_BOX = "substr(box.name, 1, 1) <> '@'"
"""Of rows of `box`: those that are boxes."""


def origin_name(team: int) -> str:
    """Return the name of a team's own origin."""
    return f"{_PREFIX}{team}"


def is_origin(name: str) -> bool:
    """Return whether a name of `box` stands for a team, and for no box."""
    return name.startswith("@")


def origin(connection: Sql, team: int) -> int:
    """Return the row of a team's own origin, made when it is not there; inside a transaction."""
    name = origin_name(team)
    connection.execute("INSERT INTO box (name, team_id) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, team))
    return int(connection.execute("SELECT id FROM box WHERE name = ?", (name,)).fetchone()[0])

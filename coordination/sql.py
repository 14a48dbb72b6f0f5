"""What the team's two database engines have in common, as one connection: SQLite's, and PostgreSQL's made alike.

Statements are written once, in what both understand: `?` and `:name` for parameters, `ON CONFLICT`, `coalesce`,
`greatest` and `least` (which leave out nulls), `CASE`, ids by `RETURNING`. SQLite's own `INSERT OR ...`, `ifnull`,
`iif`, `rowid` and two-valued `min` and `max` are not used.

Not here: opening one (team_database), and what is in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

Parameters = Sequence[Any] | Mapping[str, Any]


class Rows(Protocol):
    """What a statement came to."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401 - a row of whatever was selected
        """Return the next row, None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""
        ...


class Sql(Protocol):
    """An open database. Statements outside `team_database.transaction` stand alone."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun."""
        ...

    def execute(self, statement: str, parameters: Any = (), /) -> Rows:  # noqa: ANN401 - Parameters, for both engines
        """Run a statement."""
        ...

    def executemany(self, statement: str, parameters: Any, /) -> Rows:  # noqa: ANN401 - likewise, many
        """Run a statement with each of many parameters."""
        ...

    def close(self) -> None:
        """Close it; what was not committed is gone."""
        ...


def storable(value: object) -> object:
    """Return a value as PostgreSQL can keep it: a text has no NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value

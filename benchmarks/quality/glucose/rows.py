"""A table in plain text, then one JSON line a row with the machine it came from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from benchmarks.figure import machine

Row = Mapping[str, Any]


def show(
    title: str, columns: Sequence[str], cells: Sequence[Sequence[object]], figure: str, rows: Sequence[Row]
) -> None:
    """Print a table, then its rows as JSON lines."""
    print(f"\n{title}\n")
    print(tabulate(cells, headers=columns, disable_numparse=True))
    print()
    for row in rows:
        print(json.dumps({"figure": figure, **row, "machine": machine()}, ensure_ascii=False), flush=True)


def shown(value: float | None, digits: int = 2) -> str:
    """Return a number, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"

"""python -m benchmarks.quality [NAME ...]: the tables, each followed by one JSON line a row."""

import sys
from collections.abc import Callable

from benchmarks.quality.glucose import report as glucose
from benchmarks.quality.heart_failure import table as heart_failure

ALL: dict[str, Callable[[], None]] = {
    "glucose": glucose.tables,
    "heart_failure": heart_failure.figures,
}


def main() -> int:
    wanted = sys.argv[1:] or list(ALL)
    unknown = [name for name in wanted if name not in ALL]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in wanted:
        ALL[name]()
    return 0


sys.exit(main())

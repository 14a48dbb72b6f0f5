"""All tables of glucose recordings: `make quality ARGS=glucose`, with DATA=folder for more than the excerpt."""

import sys

from benchmarks.quality.glucose import burden, episodes, forecasts
from benchmarks.quality.glucose.traces import folder


def tables() -> None:
    """Print every table."""
    if folder() is None:
        print(
            "One person's excerpt only, so thresholds are those given beforehand and the intervals say nothing. "
            "`make quality DATA=folder` names the folder with the recordings.",
            file=sys.stderr,
        )
    forecasts.tables()
    episodes.tables()
    burden.tables()

"""Labels: what happened on a trace, found by looking back over all of it.

Nothing here is shared with a judge, and no judge is shown it. A low episode begins with the first of at least 15 min
of consecutive readings below the level (three at a 5-minute cadence, one at 15) and ends with the first of as many at
or above it (Battelino 2023, on raw readings). A silence longer than `gap_after` ends it: what went on then is unknown.
"""

from bisect import bisect_left
from dataclasses import dataclass

from benchmarks.quality.glucose.traces import MINUTE, Trace, gap_after

CONFIRMED = 15 * MINUTE
SETTLED = 30 * MINUTE
"""An episode so soon after a silence could not have been forecast: neither seen nor missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A low episode, as indices of readings: `onset` inclusive, `end` exclusive; `fair` when it could be forecast."""

    onset: int
    end: int
    fair: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What happened on one trace.

    Attributes:
        trace: of whom.
        level: mg/dL; below is strict.
        episodes: in order.
        low: at each reading, whether the value is below the level, or an episode is confirmed and not over.
        known_until: at each reading, ms UTC up to which the trace goes on without a silence.
        segments: at each reading, how many silences came before.
    """

    trace: Trace
    level: float
    episodes: tuple[Episode, ...]
    low: tuple[bool, ...]
    known_until: tuple[int, ...]
    segments: tuple[int, ...]

    def next_episode(self, index: int) -> Episode | None:
        """Return the first episode whose onset is at or after a reading, silences notwithstanding."""
        place = bisect_left(self.episodes, index, key=lambda episode: episode.onset)
        return self.episodes[place] if place < len(self.episodes) else None

    def inside(self, index: int) -> bool:
        """Return whether a reading lies in an episode."""
        place = bisect_left(self.episodes, index + 1, key=lambda episode: episode.onset) - 1
        return place >= 0 and index < self.episodes[place].end


def label(trace: Trace, level: float) -> Labels:
    """Return what happened on a trace, below a level in mg/dL."""
    needed = -(-CONFIRMED // trace.cadence)
    segments = _segments(trace)
    begun = {segment: trace.times[index] for index, segment in reversed(list(enumerate(segments)))}
    ended = {segment: trace.times[index] for index, segment in enumerate(segments)}
    spans: list[tuple[int, int]] = []
    low: list[bool] = []
    standing: int | None = None
    below = back = 0
    for index, value in enumerate(trace.values):
        if index and segments[index] != segments[index - 1]:
            if standing is not None:
                spans.append((standing, index))
            standing, below, back = None, 0, 0
        if value < level:
            below, back = below + 1, 0
            if standing is None and below >= needed:
                standing = index - needed + 1
        else:
            below, back = 0, back + 1
            if standing is not None and back >= needed:
                spans.append((standing, index - needed + 1))
                standing = None
        low.append(standing is not None or value < level)
    if standing is not None:
        spans.append((standing, len(trace.times)))
    return Labels(
        trace=trace,
        level=level,
        episodes=tuple(
            Episode(onset=onset, end=end, fair=trace.times[onset] - begun[segments[onset]] >= SETTLED)
            for onset, end in spans
        ),
        low=tuple(low),
        known_until=tuple(ended[segment] for segment in segments),
        segments=segments,
    )


def _segments(trace: Trace) -> tuple[int, ...]:
    gap = gap_after(trace.cadence)
    found = [0]
    for earlier, later in zip(trace.times, trace.times[1:], strict=False):
        found.append(found[-1] + (later - earlier > gap))
    return tuple(found)

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return"
"""The four rules of `engine_rules` as pandas, polars, DuckDB and numpy would have them, over one sensor's history.

Each takes the data in the library's own container, made beforehand, and gives the same as the kernel: an array of
(time, rule, 1 raised or 0 ended). None of them can go on from where it stopped: each reckons a whole history.
They are only installed for `make bench`; nothing else may import this.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

# Before its import: how many threads it takes is decided there. One core each, as for the kernel.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from benchmarks.engine_rules import MINUTE, Trace, Words

GAP = 45 * MINUTE
WINDOW = 15 * MINUTE
LEAST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A rule on a value that is negated where low ones are beyond: raised at `>=`, ended at `<`.

    Attributes:
        sign: -1 where low values are beyond.
        persist: ms that a run must span: 15 min and 60 min of readings every 5 min, half of one allowed for jitter.
        rate: on the change a minute, not on the value.
    """

    sign: int
    raises: int
    ends: int
    persist: int = 0
    rate: bool = False


RULES = (
    Limits(sign=1, raises=2500, ends=2400),
    Limits(sign=-1, raises=-700, ends=-750, persist=450_000),
    Limits(sign=1, raises=1800, ends=1700, persist=3_150_000),
    Limits(sign=-1, raises=20, ends=15, rate=True),
)
"""In tenths of mg/dL, a minute for the rate."""


def _edges(times: Words, standing: Sequence[object]) -> Words:
    """Return when each rule began and ceased to stand, sorted by (time, rule)."""
    parts = []
    for rule, one in enumerate(standing):
        now = np.asarray(one, np.bool_)
        places = np.flatnonzero(now != np.concatenate(([False], now[:-1])))
        parts.append(np.stack([times[places], np.full(len(places), rule), now[places].astype(np.int64)], axis=1))
    rows = np.concatenate(parts)
    return rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]


def by_numpy(trace: Trace) -> Words:
    times, counts = trace.times, trace.counts
    begin = np.searchsorted(times, times - WINDOW, "left")
    span = times - times[begin]
    places = np.arange(len(times))
    known = (places - begin + 1 >= LEAST) & (2 * span >= WINDOW)
    rates = np.where(known, (counts - counts[begin]) * float(MINUTE) / np.where(known, span, 1), np.nan)
    apart = np.diff(times, prepend=times[0]) > GAP
    standing = []
    for limits in RULES:
        value = limits.sign * (rates if limits.rate else counts)
        beyond = value >= limits.raises
        if limits.persist:
            starts = beyond & (apart | ~np.concatenate(([False], beyond[:-1])))
            onset = np.maximum.accumulate(np.where(starts, places, 0))
            beyond &= times - times[onset] >= limits.persist
        back = value < limits.ends
        decided = np.maximum.accumulate(np.where(beyond | back, places, -1))
        standing.append(np.where(decided >= 0, beyond[decided], False))
    return _edges(times, standing)


def pandas_frame(trace: Trace) -> pd.DataFrame:
    index = pd.to_datetime(trace.times, unit="ms")
    return pd.DataFrame({"count": trace.counts, "time": trace.times}, index=index)


def by_pandas(frame: pd.DataFrame) -> Words:
    window = frame.rolling(pd.Timedelta(WINDOW, "ms"), closed="both")
    first = window.first()
    span = frame["time"] - first["time"]
    known = (window["count"].count() >= LEAST) & (2 * span >= WINDOW)
    rates = ((frame["count"] - first["count"]) * float(MINUTE) / span).where(known)
    apart = frame["time"].diff() > GAP
    standing = []
    for limits in RULES:
        value = limits.sign * (rates if limits.rate else frame["count"])
        beyond = value >= limits.raises
        if limits.persist:
            run = ((beyond != beyond.shift(fill_value=False)) | apart).cumsum()
            onset = frame["time"].groupby(run).transform("first")
            beyond &= frame["time"] - onset >= limits.persist
        held = pd.Series(np.nan, index=frame.index)
        held[beyond] = 1.0
        held[value < limits.ends] = 0.0
        standing.append(held.ffill().fillna(0.0) > 0)
    return _edges(frame["time"].to_numpy(), standing)


def polars_frame(trace: Trace) -> pl.DataFrame:
    return pl.DataFrame({"time": trace.times, "count": trace.counts})


def by_polars(frame: pl.DataFrame) -> Words:
    time, count = pl.col("time"), pl.col("count")
    window = frame.rolling("time", period=f"{WINDOW}i", closed="both").agg(
        first=count.first(), began=time.first(), held=pl.len()
    )
    span = time - pl.col("began")
    known = (pl.col("held") >= LEAST) & (2 * span >= WINDOW)
    rates = pl.when(known).then((count - pl.col("first")) * float(MINUTE) / span)
    columns = []
    for rule, limits in enumerate(RULES):
        value = limits.sign * (pl.col("rate") if limits.rate else count)
        beyond = value >= limits.raises
        if limits.persist:
            starts = beyond & (~beyond.shift(1, fill_value=False) | (time.diff() > GAP).fill_null(value=False))
            beyond &= time - pl.when(starts).then(time).forward_fill() >= limits.persist
        held = pl.when(beyond).then(1).when(value < limits.ends).then(0)
        columns.append((held.forward_fill().fill_null(0) == 1).alias(str(rule)))
    found = (
        frame.lazy()
        .with_columns(window["first"], window["began"], window["held"])
        .with_columns(rate=rates)
        .select(*columns)
        .collect()
    )
    return _edges(frame["time"].to_numpy(), [found[str(rule)].to_numpy() for rule in range(len(RULES))])


class DuckTables:
    """Histories as tables of a database in memory, and the query over one of them."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._database = duckdb.connect()
        self._database.execute("set threads = 1")
        for number, trace in enumerate(traces):
            self._database.register("given", pl.DataFrame({"time": trace.times, "count": trace.counts}).to_arrow())
            self._database.execute(f'create table history_{number} as select "time" as t, "count" as c from given')
            self._database.unregister("given")

    def judged(self, number: int) -> Words:
        found = self._database.execute(_QUERY.format(table=f"history_{number}")).fetchnumpy()
        return _edges(found["t"], [found[f"s{rule}"] for rule in range(len(RULES))])


def _query() -> str:
    """Return the four rules in SQL; {table} is still to be named."""
    values = [f"{limits.sign} * {'rate' if limits.rate else 'c'}" for limits in RULES]
    numbered = list(enumerate(zip(values, RULES, strict=True)))
    beyond = ", ".join(f"coalesce({value} >= {limits.raises}, false) as b{rule}" for rule, (value, limits) in numbered)
    back = ", ".join(f"coalesce({value} < {limits.ends}, false) as e{rule}" for rule, (value, limits) in numbered)
    lasting = [rule for rule, limits in enumerate(RULES) if limits.persist]
    starts = ", ".join(
        f"b{rule} and (not coalesce(lag(b{rule}) over o, false)"
        f" or coalesce(t - lag(t) over o > {GAP}, false)) as n{rule}"
        for rule in lasting
    )
    lasts = ", ".join(
        f"b{rule} and t - last_value(case when n{rule} then t end ignore nulls) over u >= {limits.persist} as l{rule}"
        if limits.persist
        else f"b{rule} as l{rule}"
        for rule, limits in enumerate(RULES)
    )
    stands = ", ".join(
        f"coalesce(last_value(case when l{rule} then true when e{rule} then false end ignore nulls) over u, false)"
        f" as s{rule}"
        for rule in range(len(RULES))
    )
    return f"""
        with seen as (
            select t, c, first_value(c) over w as c0, first_value(t) over w as t0, count(*) over w as held
            from {{table}} window w as (order by t range between {WINDOW} preceding and current row)
        ), valued as (
            select t, c, case when held >= {LEAST} and 2 * (t - t0) >= {WINDOW}
                then (c - c0) * {MINUTE}::double / (t - t0) end as rate from seen
        ), sided as (select t, {beyond}, {back} from valued),
        begun as (select *, {starts} from sided window o as (order by t)),
        lasting as (select *, {lasts} from begun
            window u as (order by t rows between unbounded preceding and current row))
        select t, {stands} from lasting window u as (order by t rows between unbounded preceding and current row)
        order by t"""


_QUERY = _query()

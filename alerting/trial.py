"""Trial: what one protocol does over recorded patients, in counts that add up. Judging is `backtest`'s."""

from collections.abc import Collection, Iterable, Sequence
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from alerting.backtest import AlertOutcome
from alerting.burden import Burden, Watched, burden_of, total
from alerting.care_protocol import CareProtocol
from alerting.coverage import Coverage, all_coverage, coverage_of
from alerting.history import History
from devices.reading import Quantity


class Trial(Struct, kw_only=True):
    """A protocol over some patients.

    Attributes:
        protocol: its name and version, such as "diabetes_cgm v1".
        protocol_hash: SHA-256, hexadecimal.
        first_ms: when watching began, of the first patient, ms UTC; None without any patient.
        last_ms: when it ended, of the last one.
        readings: readings of the recording while patients were watched.
        burden: what the alerts cost.
        coverage: what the recording holds.
    """

    protocol: str
    protocol_hash: str
    first_ms: int | None = None
    last_ms: int | None = None
    readings: int = 0
    burden: Burden = field(default_factory=Burden)
    coverage: dict[Quantity, Coverage] = field(default_factory=dict)


def label(protocol: CareProtocol) -> str:
    """Return a protocol's name and version."""
    return f"{protocol.name} v{protocol.version}"


def watching(history: History, zone: ZoneInfo, since: int | None, until: int | None) -> Watched | None:
    """Return when a patient is watched in a backtest, None when there is neither a reading nor a beginning."""
    history = history.until(until)
    if not len(history) and since is None:
        return None
    begin = int(history.times[0]) if since is None else since
    last = int(history.times[-1]) if len(history) else begin
    return Watched(begin=begin, end=max(begin, last if until is None else until), zone=zone)


def trial_of(
    protocol: CareProtocol,
    history: History,
    outcomes: Sequence[AlertOutcome],
    watched: Watched,
    never_judged: Collection[str] | None = None,
) -> Trial:
    """Return what a protocol did over one patient; `never_judged` as in `alerting.burden.burden_of`."""
    coverage = coverage_of(protocol, history, watched)
    return Trial(
        protocol=label(protocol),
        protocol_hash=protocol.protocol_hash,
        first_ms=watched.begin,
        last_ms=watched.end,
        readings=sum(one.readings for one in coverage.values()),
        burden=burden_of(protocol, outcomes, watched, never_judged),
        coverage=coverage,
    )


def together(protocol: CareProtocol, trials: Iterable[Trial]) -> Trial:
    """Return what a protocol did over all patients of several trials of it."""
    several = list(trials)
    return Trial(
        protocol=label(protocol),
        protocol_hash=protocol.protocol_hash,
        first_ms=min((one.first_ms for one in several if one.first_ms is not None), default=None),
        last_ms=max((one.last_ms for one in several if one.last_ms is not None), default=None),
        readings=sum(one.readings for one in several),
        burden=total(one.burden for one in several),
        coverage=all_coverage(one.coverage for one in several),
    )

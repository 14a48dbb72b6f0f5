"""What can go wrong in judging.

`ProtocolError` and `RecordingError` are rejected input: told to whoever wrote the file. `SnapshotError`,
`HistoryError` and `OrderError` say that an engine was handed something it must not judge from: the caller
replays the kept readings instead.
"""

from dataclasses import dataclass

from alerting.alert import Sentence


class AlertingError(Exception):
    """Base of every error of this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in a protocol file.

    Attributes:
        line: line in the file, from 1; None when the fault is of the file as a whole.
        key: dotted path of the key, such as "rules.weight_gain_3_days.delta"; "" for the file as a whole.
        message: what is wrong and what to write instead, for a nurse.
    """

    line: int | None
    key: str
    message: Sentence


class ProtocolError(AlertingError):
    """A protocol file that cannot be applied; every fault at once.

    Attributes:
        name: what the file was called by whoever handed it over.
        faults: at least one, in the order of the file.
    """

    def __init__(self, name: str, faults: tuple[Fault, ...]) -> None:
        lines = "; ".join(
            f"line {fault.line}: {fault.key}: {fault.message.en}" if fault.line else fault.message.en
            for fault in faults
        )
        super().__init__(f"{name}: {lines}")
        self.name = name
        self.faults = faults


class RecordingError(AlertingError):
    """A recording of readings that cannot be read.

    Attributes:
        line: line in a text file, or row of a table, from 1; None when the fault is of the file as a whole.
        reason: one clause.
        why: file, place and reason.
    """

    def __init__(self, name: str, line: int | None, reason: Sentence, *, row: bool = False) -> None:
        where = Sentence(fr="", en="")
        if line is not None:
            where = Sentence(
                fr=f", {'rangée' if row else 'ligne'}\u00a0{line}", en=f", {'row' if row else 'line'} {line}"
            )
        self.why = Sentence(fr=f"{name}{where.fr}\u00a0: {reason.fr}", en=f"{name}{where.en}: {reason.en}")
        super().__init__(self.why.en)
        self.line = line
        self.reason = reason


class SnapshotError(AlertingError):
    """A snapshot that is corrupt, of another protocol or of another version of the engine."""


class HistoryError(AlertingError):
    """A history handed over for re-judging that lacks readings which were judged before.

    Judging it would retract alerts for want of data, so it is refused.

    Attributes:
        lacking: how many readings are not there.
    """

    def __init__(self, lacking: int) -> None:
        super().__init__(f"the history lacks {lacking} readings that were judged before")
        self.lacking = lacking


class OrderError(AlertingError):
    """A late reading handed over as one in order; `Engine.lateness` tells them apart."""


class KernelError(AlertingError):
    """The compiled kernel does not belong to this version of the package.

    Attributes:
        hint: the operator's next step.
    """

    def __init__(self) -> None:
        super().__init__("the compiled kernel is of another version")
        self.hint = (
            "Delete the directory alerting/__pycache__ (and the one named by NUMBA_CACHE_DIR), then start again."
        )


class ShelfError(AlertingError):
    """A rule cannot be set aside as was asked.

    Attributes:
        longest: ms for which the rule may be set aside.
    """

    def __init__(self, message: str, longest: int) -> None:
        super().__init__(message)
        self.longest = longest


class UnknownRuleError(AlertingError):
    """The protocol has no rule of this id.

    Attributes:
        rule: the id that was asked for.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(f"the protocol has no rule {rule}: look it up in the protocol")
        self.rule = rule


class UnknownAlertError(AlertingError):
    """An alert that this engine does not know, or not any more.

    Attributes:
        alert_id: the id that was asked for.
    """

    def __init__(self, alert_id: str) -> None:
        super().__init__(f"no alert {alert_id} is known: it ended long ago, was taken back, or is of somebody else")
        self.alert_id = alert_id

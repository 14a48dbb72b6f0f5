"""What can go wrong in the simulated world: its input, or the part of the world that did not come up."""


class SimulatorError(Exception):
    """Base of every error of this package."""


class ClockError(SimulatorError):
    """The accelerated clock's argument cannot be read."""


class RecordingError(SimulatorError):
    """A recording that cannot be played.

    Attributes:
        line: 1-based line of the file, None when the file as a whole is at fault.
    """

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line


class FaultError(SimulatorError):
    """A fault that names no known knob, or a value that the knob does not take."""


class HomeError(SimulatorError):
    """The home cannot be set up as asked, or a command on its standard input cannot be read."""


class WorldError(SimulatorError):
    """A process of the world that did not come up, or that ended by itself."""

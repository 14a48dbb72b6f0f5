"""What a program says of a fault that nobody foresaw."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import click


def first_of(error: BaseException) -> BaseException:
    """Return the first error of a group, however deep; any other error as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def last_words(program: str) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return what a program says of an unforeseen fault: where, in one sentence instead of a stack trace."""

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, BaseExceptionGroup):
            error = first_of(error)
            kind, trace = type(error), error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        click.echo(
            f"{program}: défaut imprévu ({kind.__name__}, {where}) ; relancer, et le signaler si cela se répète. / "
            f"unforeseen fault ({kind.__name__}, {where}); start again, and report it if it comes back.",
            err=True,
        )

    return say

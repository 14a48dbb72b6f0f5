"""What only trying a protocol needs: libraries that a box never installs, asked for by name when they are needed."""

from importlib.util import find_spec

from agent.errors import RequestError
from alerting.alert import Sentence


def need(library: str, what: str) -> None:
    """Go on when a library of the extra `analysis` is installed.

    Args:
        library: such as "pyarrow".
        what: what it is needed for, by name.

    Raises:
        RequestError: it is not.
    """
    if find_spec(library) is None:
        raise RequestError(
            Sentence(fr=f"{what} : il faut {library}, qui n'est pas installé.", en=f"{what} needs {library}."),
            Sentence(
                fr="L'installer avec « pip install 'veilleur[analysis]' ».",
                en="Install it with \"pip install 'veilleur[analysis]'\".",
            ),
        )

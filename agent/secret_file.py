"""A secret of a few characters in a file of its own, which nobody else on the box can read.

Not here: the keys of the box itself (vault, exchange.identity).
"""

import os
from pathlib import Path

from agent.errors import SecretError
from alerting.alert import Sentence

MOST_BYTES = 1024


def read_secret(path: Path) -> str:
    """Return the one line of a file with mode 0600.

    Raises:
        SecretError: it is not there, others can read it, or it holds no line of 1 to 1024 printable characters.
    """
    try:
        # The mode is asked of the open file: another one cannot take its place in between.
        with path.open("rb") as file:
            mode, data = os.fstat(file.fileno()).st_mode, file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SecretError(
            Sentence(
                fr=f"Le fichier secret {path} ne peut pas être lu ({error.strerror}).",
                en=f"The secret file {path} cannot be read ({error.strerror}).",
            ),
            Sentence(fr="Le créer, avec le secret seul.", en="Make it, with nothing but the secret in it."),
        ) from error
    if mode & 0o077:
        raise SecretError(
            Sentence(
                fr=f"Le fichier secret {path} est lisible par d'autres.",
                en=f"The secret file {path} can be read by others.",
            ),
            Sentence(fr=f"Faire « chmod 600 {path} ».", en=f"Run 'chmod 600 {path}'."),
        )
    secret = data.decode("ascii", errors="replace").strip()
    if not secret or not secret.isascii() or not secret.isprintable() or len(data) > MOST_BYTES:
        raise SecretError(
            Sentence(
                fr=f"Le fichier secret {path} doit tenir en une ligne de caractères simples.",
                en=f"The secret file {path} must be one line of plain characters.",
            ),
            Sentence(fr="Y écrire le secret seul.", en="Write nothing but the secret into it."),
        )
    return secret

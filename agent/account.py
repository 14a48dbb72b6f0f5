"""Under which account a person works on this machine."""

import getpass
import os


def account() -> str:
    """Return the account that a person works under: who became root, not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()

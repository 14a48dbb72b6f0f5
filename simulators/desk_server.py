"""The desk of a simulated world: the pages of `veilleur-desk serve`, on the world's clock, on this machine only.

Its accounts are made at its start, one of each role, each with a password of its own that nobody chose and that is told
once, to whoever started it: they are for the loopback address of one demonstration.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from coordination.desk_cli import begin
from coordination.settings import read_settings
from devices.clock import Clock
from simulators.processes import say

LISTEN = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who signs in, as what, with which password."""

    email: str
    name: str
    role: str
    password: str


_PEOPLE = (
    ("anne.martin", "Anne Martin", "nurse"),
    ("lea.roux", "Léa Roux", "physician"),
    ("omar.diallo", "Omar Diallo", "installer"),
    ("ines.faure", "Inès Faure", "admin"),
    ("paul.henry", "Paul Henry", "auditor"),
)


def new_accounts() -> tuple[Account, ...]:
    """Return accounts with passwords that were never used."""
    return tuple(
        Account(email=f"{email}@demo.invalid", name=name, role=role, password=secrets.token_urlsafe(12))
        for email, name, role in _PEOPLE
    )


def run_desk(config: Path, clock: Clock) -> None:
    """Serve until SIGTERM.

    Raises:
        CoordinationError: the desk's libraries are not installed, or its database cannot be used.
    """
    settings = read_settings(config)
    begin(settings, clock)
    # An extra: its absence was told in a sentence just before.
    from coordination.desk.serving import open_account, serve_until_told, upgrade  # noqa: PLC0415

    upgrade()
    accounts = new_accounts()
    for one in accounts:
        open_account(one.email, name=one.name, password=one.password, roles=(one.role,), team=1, by="veilleur-sim")
    told = [{"email": one.email, "name": one.name, "role": one.role, "password": one.password} for one in accounts]
    say({"event": "ready", "accounts": told})
    serve_until_told(LISTEN, settings.desk.port)

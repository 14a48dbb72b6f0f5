"""A glucose that falls, in a home whose box asks a sensor's telephone: what a protocol's stories begin with."""

import re

from simulators.relay_server import SimulatedValue
from tests.coordination.kit import HOUR, MINUTE, PATIENT
from tests.coordination.order_kit import VOUCHED, TeamAndBox

ATTENTIVE = (
    "from devices.relay_history import RelayPatience; RelayPatience.__init__.__kwdefaults__['interval'] = 1.0;"
    f"{VOUCHED}"
)
"""`veilleur run` that asks the telephone every second: nobody waits for its minute."""


def earlier(hours: int) -> str:
    """`veilleur run` some hours ago, before the machine was switched off.

    What is measured after a box's first start is its to judge.
    """
    return (
        "from agent.clock_trust import LinuxTime; right = LinuxTime.wall_ms;"
        f"LinuxTime.wall_ms = lambda self: right(self) - {hours * HOUR};"
        f"LinuxTime.boot = lambda self: '{hours:032x}'; {VOUCHED}"
    )


def values(begin: int, *mg_dl: float) -> list[SimulatedValue]:
    """One value every five minutes from `begin` (ms UTC) on."""
    return [SimulatedValue(at=begin + 5 * MINUTE * step, sgv=value) for step, value in enumerate(mg_dl)]


def dip(now: int, minutes_ago: int, mg_dl: float) -> list[SimulatedValue]:
    """Twenty minutes of normal values from `minutes_ago` on, forty at `mg_dl`, twenty-five of normal ones."""
    return values(now - minutes_ago * MINUTE, *[110.0] * 4, *[mg_dl] * 8, *[110.0] * 5)


def slope(now: int, mg_dl: float) -> list[SimulatedValue]:
    """Half an hour's slow fall to `mg_dl`, and fifteen minutes there up to a minute before `now`."""
    return values(now - 51 * MINUTE, 110.0, 104.0, 98.0, 92.0, 86.0, 80.0, 74.0, *[mg_dl] * 4)


def give_phone(home: TeamAndBox, phone: str) -> None:
    """Let the telephone at this address be the box's only device."""
    path = home.box / "agent.toml"
    text = re.sub(r"(?s)\n\[\[devices\]\].*", "\n", path.read_text(encoding="utf-8"))
    relay = f'\n[[relays]]\nname = "phone"\nurl = "{phone}"\npatient = "{PATIENT}"\nfrom = 2025-11-01T00:00:00Z\n'
    path.write_text(text + relay, encoding="utf-8")


def assert_discreet(home: TeamAndBox, *secrets: str) -> None:
    """No program said a PIN or a patient's pseudonym, and none broke."""
    for log in (home.box / "log", home.folder / "inbox.log"):
        said = log.read_text(encoding="utf-8")
        for secret in (*secrets, PATIENT, "Traceback"):
            assert secret not in said, log

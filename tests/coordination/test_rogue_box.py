"""A box that is no longer ours signs whatever the form allows: the team stores it, goes on, and shows it safely.

Every number at either end of what its field may be, every text with what a terminal would obey.
"""

from collections.abc import Iterator

import msgspec
import pytest
from click.testing import CliRunner

from alerting.alert import Audience, ChangeKind, Reason
from coordination.cli import main
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.errors import EnvelopeError
from exchange.messages import AlertRecord, EscalationItem, EvidenceItem, FindingItem, Record, Said, SuppressionItem
from exchange.packing import pack, unpack
from tests.coordination.kit import EPOCH, START, Team, gap, glucose, hypo, rows

FAR = 2**53
NASTY = "\x1b[31m\r\n\t\u202e\x00{}%s"
KEPT = {"patient", "epoch", "boot", "quantity", "unit", "alert_id", "signature"}
"""What says whose it is, or has a form of its own: left as it is."""


def records() -> Iterator[Record]:
    alert = hypo(ChangeKind.RAISED)
    inner = [
        msgspec.structs.replace(
            alert,
            evidence=(item,),
            recent=(item,),
            signals=(item,),
            finding=FindingItem(measure=text[:32], value=end, threshold=end, baseline=end, readings=end, span=end),
            check=Said(fr=text, en=text),
            higher=Said(fr=text, en=text),
            lacking=Said(fr=text, en=text),
            due_by=end,
            told_at=end,
            suppressed=SuppressionItem(reason=Reason.QUIET_HOURS, since=end, until=end, by=text),
            escalated=(EscalationItem(at=end, audience=Audience.NURSE),),
        )
        for end, text in ((START, "x"), (FAR, NASTY), (-FAR, NASTY))
        for item in (
            EvidenceItem(
                quantity=glucose(0).quantity, count=end, measured_at=end, received_at=end, device=text, key=text
            ),
        )
    ]
    correction = ClockCorrection(
        boot=EPOCH, mono_from=0, mono_to=9_000, offset=-3_600_000, epoch=EPOCH, first=0, last=7, at=START
    )
    yield glucose(0)
    yield alert
    yield from inner
    yield gap((0, 7))
    yield correction
    yield CanaryRecord(at=START, count=7)


def extremes() -> list[Record]:
    """Every record that can be decoded, with one field of it at its end."""
    found: list[Record] = []
    for record in records():
        for name in record.__struct_fields__:
            if name in KEPT:
                continue
            for value in (FAR, -FAR, 2**31, 255, 0, -1, NASTY, NASTY * 4):
                try:
                    changed = msgspec.structs.replace(record, **{name: value})
                    (taken,) = unpack(pack([changed]), count=1)
                except (EnvelopeError, TypeError, ValueError):
                    continue  # the form does not allow it
                found.append(taken)
    return found


@pytest.fixture(scope="module")
def rogue(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team whose box sent all of it, a record an envelope, each alert another one."""
    team = Team(tmp_path_factory.mktemp("rogue"))
    database = team.open_database()
    for number, record in enumerate(extremes()):
        own = isinstance(record, AlertRecord)
        sent = msgspec.structs.replace(record, alert_id=f"{number:032x}") if own else record
        team.store(database, team.opened(number, [sent]), at=START + number)
    database.close()
    return team


PAGES = ("alerts", "readings", "gaps", "boxes", "audit", "commands")


@pytest.mark.parametrize("page", [*PAGES, *(f"{page} --json" for page in PAGES)])
def test_the_team_shows_whatever_a_rogue_box_signed(rogue: Team, page: str) -> None:
    for lang in ("fr", "en"):
        config = ["--config", str(rogue.folder / "desk.toml"), *([] if "--json" in page else ["--lang", lang])]
        result = CliRunner().invoke(main, [*page.split(), *config], color=True, catch_exceptions=False)
        assert result.exit_code == 0
        # A terminal obeys none of it.
        assert not set(result.stdout) & set(NASTY[:1] + "\r\x00")
        assert "--json" in page or "\u202e" not in result.stdout


def test_each_alert_of_a_rogue_box_is_shown_whole(rogue: Team) -> None:
    found = rows(rogue.database, "SELECT id FROM alert")
    assert len(found) > 50
    for (alert,) in found:
        config = ["--config", str(rogue.folder / "desk.toml")]
        result = CliRunner().invoke(main, ["alert", str(alert), *config], color=True, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        assert not set(result.stdout) & set("\x1b\r\x00\u202e")

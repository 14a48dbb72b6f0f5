"""What a box declares missing is stored once, explains what has not come, and is shown to the team."""

import json
import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from agent.room import Limits
from agent.store import Store
from agent.vault import Vault
from coordination.cli import main
from coordination.ranges import without
from coordination.sqlite_file import connect
from coordination.view import View
from exchange.box_records import ClockCorrection
from exchange.gaps import GapReason, GapRecord
from exchange.identity import Recipient, RecipientRole
from exchange.messages import UNATTRIBUTED, Range, lineage
from exchange.sealing import Opener, Sealer
from tests.agent.kit import arrivals, spo2
from tests.coordination.kit import (
    BOX,
    EPOCH,
    HOUR,
    OTHER_EPOCH,
    OTHER_PATIENT,
    PATIENT,
    START,
    Team,
    gap,
    glucose,
    rows,
)

KEPT = Path(__file__).parent / "kept_version_1.sql"


def shown(team: Team, *options: str) -> str:
    done = CliRunner().invoke(main, ["gaps", "--database", str(team.database), *options], env={"TZ": "UTC"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_gap_is_receipted_stored_once_and_explains_what_is_missing(team: Team) -> None:
    database = team.open_database()
    ahead = team.opened(100, [glucose(100)])
    declared = team.opened(101, [gap((0, 59), (70, 79))])
    for _ in range(2):
        (receipt,) = team.store(database, ahead, declared)
        assert team.read_receipt(receipt).epochs[0].ranges == (Range(100, 101),)
    database.close()
    view = View(team.database)
    assert [(one.patient, one.box, one.readings, one.reason) for one in view.gaps()] == [
        (PATIENT, BOX, 70, GapReason.EVICTED)
    ]
    (missing,) = view.missing()
    assert (missing.box, missing.database) == (BOX, lineage(EPOCH))
    assert missing.ranges == (Range(60, 69), Range(80, 99))
    view.close()


def test_what_a_full_box_sends_leaves_the_team_nothing_unexplained(team: Team, tmp_path: Path) -> None:
    """From a real buffer of a box that reaches its cap, through real envelopes, to what the team sees."""
    signing, recipients = team.boxes[BOX], [Recipient.of(team.opening, RecipientRole.TEAM)]
    sealer = Sealer(box=BOX, signing_key=signing, recipients=recipients)
    opener = Opener(keys=[team.opening], signer_of=lambda _box, _signer: signing.public)
    limits = Limits(cap=1 << 20, reserve=1 << 18)
    box = Store(tmp_path / "veilleur.db", Vault(bytes(32), box=BOX), now_ms=START, limits=limits)
    for minute in range(200):
        values = arrivals(*(spo2("97", 60 * minute + second) for second in range(60)))
        box.accept_streamed(values, {}, sealer, now_ms=START)
    entries = box.waiting(limit=10_000)
    given = box.backlog()[0]
    box.close()
    database = team.open_database()
    team.store(database, *(opener.open(entry.body, box=BOX) for entry in entries))
    database.close()
    view = View(team.database)
    gaps = list(view.gaps())
    stored = sum(1 for _ in view.readings())
    assert view.missing() == ()
    assert gaps
    assert stored + sum(one.readings for one in gaps) == 200 * 60
    assert stored + sum(one.readings for one in gaps) + len(gaps) == given
    assert max(one.measured_to for one in gaps) < next(view.readings()).measured_at
    view.close()


def test_what_was_declared_may_arrive_all_the_same(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(3, [gap((0, 2))]))
    team.store(database, team.opened(1, [glucose(1)]))
    database.close()
    assert rows(team.database, "SELECT seq FROM observation") == [(1,)]
    view = View(team.database)
    assert view.missing() == ()
    view.close()


def test_gaps_of_two_epochs_are_apart(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(5, [gap((0, 4), epoch=OTHER_EPOCH)]))
    database.close()
    view = View(team.database)
    assert [(one.database, one.ranges) for one in view.missing()] == [(lineage(EPOCH), (Range(0, 4),))]
    view.close()


def test_numbers_go_on_from_one_opening_of_a_box_to_the_next(team: Team) -> None:
    database = team.open_database()
    again = EPOCH[:16] + "0" * 16
    team.store(database, team.opened(0, [glucose(0)]))
    # A gap may be of what an earlier opening gave.
    team.store(database, team.opened(5, [gap((1, 2)), glucose(5)], epoch=again))
    # A new database took over where the other one ended.
    team.store(
        database, team.opened(8, [glucose(8)], epoch=OTHER_EPOCH), team.opened(10, [glucose(9)], epoch=OTHER_EPOCH)
    )
    database.close()
    view = View(team.database)
    assert {(one.database, one.ranges) for one in view.missing()} == {
        (lineage(EPOCH), (Range(3, 4),)),
        (lineage(OTHER_EPOCH), (Range(9, 9),)),
    }
    view.close()


@pytest.mark.parametrize("stranger", [OTHER_PATIENT, UNATTRIBUTED, "patient-nobody"])
def test_a_gap_is_never_shown_as_that_of_a_patient_who_has_another_box(team: Team, stranger: str) -> None:
    settings = team.settings(
        (PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"),
        (OTHER_PATIENT, "box-0002", "2025-11-01T00:00:00Z", "diabetes_cgm"),
    )
    database = team.open_database(settings)
    team.store(database, team.opened(3, [gap((0, 2), patient=stranger)]))
    database.close()
    view = View(team.database)
    assert [one.patient for one in view.gaps()] == [None]
    assert view.missing() == ()
    view.close()


def test_the_team_sees_what_is_missing_of_whom_when_and_why(team: Team) -> None:
    database = team.open_database()
    records = [gap((0, 59)), gap(patient=UNATTRIBUTED, reason=GapReason.REFUSED)]
    team.store(database, team.opened(70, records), team.opened(72, [glucose(1)]))
    database.close()
    table = shown(team)
    assert PATIENT in table
    assert "60" in table
    assert "anciennes ont laissé la place" in table
    assert "à attribuer" in table
    assert "Pas encore reçus de box-0001\u00a0: 10 relevés." in table
    english = shown(team, "--lang", "en", "--patient", PATIENT)
    assert "continuous measurement" in english
    assert "to be attributed" not in english
    assert [json.loads(line) for line in shown(team, "--json").splitlines()] == [
        {
            "patient": None,
            "box": BOX,
            "measured_from": "2025-11-22T08:26:40Z",
            "measured_to": "2025-11-22T09:26:40Z",
            "readings": 10,
            "reason": "refused",
        },
        {
            "patient": PATIENT,
            "box": BOX,
            "measured_from": "2025-11-22T08:26:40Z",
            "measured_to": "2025-11-22T09:26:40Z",
            "readings": 60,
            "reason": "evicted",
        },
        {"box": BOX, "database": lineage(EPOCH), "not_received": [[60, 69]]},
    ]
    # Whoever reads the readings is told that there are gaps, and where to look.
    done = CliRunner().invoke(main, ["readings", "--database", str(team.database), "--lang", "en"])
    assert done.stdout.rstrip().endswith("'veilleur-desk gaps' says which.")


def test_a_team_that_lacks_nothing_is_told_so(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0)]))
    database.close()
    assert shown(team) == "Rien de perdu ici.\n"
    assert shown(team, "--lang", "en") == "Nothing was lost here.\n"
    assert shown(team, "--json") == ""


def test_a_new_database_and_an_upgraded_one_have_the_same_shape(team: Team) -> None:
    kept = sqlite3.connect(team.folder / "old.db")
    kept.executescript(KEPT.read_text(encoding="utf-8"))
    kept.close()
    shapes = []
    for name in ("old.db", "new.db"):
        connection = connect(team.folder / name)
        tables = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'declared_gap%'")
        ]
        columns = [tuple(row[1:]) for row in connection.execute("PRAGMA table_info(declared_gap)")]
        shapes.append((sorted(tables), columns))
        connection.close()
    assert shapes[0] == shapes[1]
    assert "declared_gap" in shapes[0][0]


RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 10)).map(lambda pair: Range(pair[0], pair[0] + pair[1])), max_size=8
)


@given(st.integers(0, 40), st.integers(0, 40), RANGES)
def test_what_is_left_of_a_range_is_what_nothing_covers(first: int, length: int, taken: list[Range]) -> None:
    whole = Range(first, first + length)
    left = without(whole, taken)
    covered = {number for part in taken for number in range(part.first, part.last + 1)}
    assert numbers(left) == [number for number in range(first, first + length + 1) if number not in covered]
    assert all(before.last + 1 < after.first for before, after in pairwise(left))


def numbers(ranges: Sequence[Range]) -> list[int]:
    return [number for part in ranges for number in range(part.first, part.last + 1)]


# --- when its box's time was wrong --------------------------------------------------------------------------------


def spans(team: Team) -> list[tuple[int, int]]:
    """From when to when each gap is, as hours since START."""
    view = View(team.database)
    try:
        return [((item.measured_from - START) // HOUR, (item.measured_to - START) // HOUR) for item in view.gaps()]
    finally:
        view.close()


def moved_by(hours: int, first: int, last: int, *, epoch: str = EPOCH) -> ClockCorrection:
    return ClockCorrection(
        boot="b" * 32, mono_from=0, mono_to=10, offset=hours * HOUR, epoch=epoch, first=first, last=last, at=START
    )


ARRIVED = gap((0, 4), by_arrival=True)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0, 1)])
def test_a_gap_of_what_was_dated_by_arrival_is_moved_with_the_time(team: Team, order: tuple[int, ...]) -> None:
    envelopes = [team.opened(9, [ARRIVED]), team.opened(20, [moved_by(5, 0, 19)])]
    database = team.open_database()
    for number in order:
        team.store(database, envelopes[number])
    database.close()
    assert spans(team) == [(5, 6)]


@pytest.mark.parametrize(
    ("declared", "said", "found"),
    [
        (gap((0, 4)), 9, [(0, 1)]),
        (ARRIVED, 21, [(0, 1)]),
        (gap((0, 4), (30, 34), by_arrival=True), 9, [(0, 1), (5, 6)]),
        (gap((15, 25), by_arrival=True), 9, [(0, 6)]),
        (gap((30, 34), by_arrival=True), 9, [(0, 1)]),
        (gap(by_arrival=True, reason=GapReason.REFUSED), 9, [(5, 6)]),
    ],
    ids=["its device's time", "said by the right time", "one range of two", "a part", "numbered later", "no numbers"],
)
def test_only_what_rests_on_the_wrong_time_is_moved(
    team: Team, declared: GapRecord, said: int, found: list[tuple[int, int]]
) -> None:
    database = team.open_database()
    team.store(database, team.opened(said, [declared]))
    team.store(database, team.opened(20, [moved_by(5, 0, 19)]))
    database.close()
    assert sorted(spans(team)) == found


def test_a_gap_of_an_earlier_start_is_moved_once_both_starts_are_put_right(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(9, [gap((0, 4), epoch=OTHER_EPOCH, by_arrival=True)]))
    team.store(database, team.opened(20, [moved_by(5, 9, 19)]))
    assert spans(team) == [(0, 1)]
    team.store(database, team.opened(21, [moved_by(5, 0, 8, epoch=OTHER_EPOCH)]))
    team.store(database, team.opened(22, [moved_by(5, 20, 21)]))
    database.close()
    assert spans(team) == [(5, 6)]

"""A team database that was lost or put back asks the box again for what it receipted before, once, and gets it."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.store import Store
from coordination.cli import main
from coordination.command_queue import CommandView
from coordination.database import Presence
from coordination.resending import bounded
from coordination.sql_database import SqlDatabase
from exchange.command_bodies import ResendBody, decode_body
from exchange.commands import Command, CommandKind, SignedCommand, decode
from exchange.identity import Recipient, RecipientRole
from exchange.messages import Range, lineage
from exchange.sealing import Opener, Sealer, verify_receipt
from tests.agent.kit import arrivals, open_store
from tests.agent.kit import glucose as measured
from tests.coordination.kit import BOX, EPOCH, MINUTE, OTHER_EPOCH, START, Team, gap, glucose, rows


def says(
    team: Team,
    database: SqlDatabase,
    *,
    next_seq: int,
    backlog: int,
    at: int,
    epoch: str = EPOCH,
    retained: bool = False,
) -> None:
    """Let a status of the box come at a time."""
    status = msgspec.structs.replace(team.status(at=at), epoch=epoch, next_seq=next_seq, backlog=backlog)
    team.store(database, Presence(status=status, retained=retained), at=at)


def commands(database: SqlDatabase) -> list[CommandView]:
    return [view for view in database.commands.views() if view.kind is CommandKind.RESEND]


def asked(database: SqlDatabase) -> list[tuple[str, tuple[Range, ...]]]:
    """Return the epoch and the ranges of each command that asks for something again, oldest first."""
    found = []
    query = "SELECT content FROM command WHERE kind = 'resend' ORDER BY version"
    for (content,) in database._connection.execute(query):
        command: Command = decode(msgspec.msgpack.decode(content, type=SignedCommand).command)
        body = decode_body(command.kind, command.body)
        assert isinstance(body, ResendBody)
        found.append((body.epoch, body.ranges))
    return found


def test_what_was_receipted_and_is_not_here_is_asked_for_once(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(40, [glucose(40), glucose(41)]))
    says(team, database, next_seq=50, backlog=3, at=START)
    assert asked(database) == [(EPOCH, (Range(0, 39), Range(42, 49)))]
    # It does not arrive, or is gone: nobody asks for ever.
    for minute in range(1, 4):
        says(team, database, next_seq=50 + minute, backlog=3, at=START + minute * MINUTE)
    assert len(asked(database)) == 1
    # But what is lacking besides is asked for.
    says(team, database, next_seq=90, backlog=3, at=START + 9 * MINUTE)
    assert len(asked(database)) == 2
    database.close()


def test_a_status_that_the_broker_kept_asks_for_nothing(team: Team) -> None:
    """It may be of before what is here was receipted, or of a box that is long gone."""
    database = team.open_database()
    says(team, database, next_seq=50, backlog=0, at=START, retained=True)
    assert asked(database) == []
    database.close()


def test_numbers_of_the_database_before_are_not_missing_in_the_one_that_took_over(team: Team) -> None:
    database = team.open_database()
    team.store(database, *(team.opened(number, [glucose(number)]) for number in range(8)))
    team.store(database, team.opened(8, [glucose(8)], epoch=OTHER_EPOCH))
    says(team, database, next_seq=9, backlog=0, at=START, epoch=OTHER_EPOCH)
    assert asked(database) == []
    says(team, database, next_seq=12, backlog=0, at=START + MINUTE, epoch=OTHER_EPOCH)
    assert asked(database) == [(OTHER_EPOCH, (Range(9, 11),))]
    database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    here=st.sets(st.integers(0, 19)),
    declared=st.sets(st.integers(0, 19)),
    waiting=st.sets(st.integers(0, 19)),
)
def test_it_asks_exactly_when_more_is_lacking_than_waits(
    team: Team, here: set[int], declared: set[int], waiting: set[int]
) -> None:
    team.database.unlink(missing_ok=True)
    database = team.open_database()
    team.store(database, *(team.opened(number, [glucose(number)]) for number in sorted(here)))
    if declared:
        team.store(database, team.opened(20, [gap(*((number, number) for number in sorted(declared)))]))
    says(team, database, next_seq=21 if declared else 20, backlog=len(waiting), at=START)
    lacking = set(range(20)) - here - declared
    numbers = {
        number for _, ranges in asked(database) for part in ranges for number in range(part.first, part.last + 1)
    }
    assert numbers == (lacking if len(lacking) > len(waiting) else set())
    database.close()


@given(st.sets(st.integers(0, 400), min_size=1), st.integers(1, 20))
def test_few_ranges_cover_many_and_fill_the_smallest_holes(numbers: set[int], most: int) -> None:
    ranges = tuple(Range(number, number) for number in sorted(numbers))
    few = bounded(ranges, most)
    assert len(few) <= most
    assert all(one.last < other.first for one, other in pairwise(few))
    assert numbers <= {number for part in few for number in range(part.first, part.last + 1)}
    holes = sorted((other.first - one.last for one, other in pairwise(ranges)), reverse=True)
    left = sorted((other.first - one.last for one, other in pairwise(few)), reverse=True)
    assert left == holes[: len(few) - 1]


def test_a_box_gives_a_lost_database_all_that_it_keeps(team: Team, tmp_path: Path) -> None:
    """The real store of a box and the real database of the team; what the broker carries is carried by hand."""
    signing = team.boxes[BOX]
    sealer = Sealer(box=BOX, signing_key=signing, recipients=[Recipient.of(team.opening, RecipientRole.TEAM)])
    opener = Opener(keys=[team.opening], signer_of=lambda _box, _signer: signing.public)
    box = open_store(tmp_path / "box.db")

    def send(database: SqlDatabase) -> None:
        for receipt in team.store(database, *(opener.open(one.body, box=BOX) for one in box.waiting(limit=1000))):
            for part in verify_receipt(receipt.data, box=BOX, signers={team.receipt.id: team.receipt.public}).epochs:
                box.receipted(part, now_ms=START)

    def status(database: SqlDatabase, at: int) -> None:
        next_seq, backlog = box.backlog()
        says(team, database, next_seq=next_seq, backlog=backlog, at=at, epoch=box.this_epoch())

    for minute in range(0, 300, 5):
        box.accept(arrivals(measured("100", minute)), sealer, now_ms=START)
    database = team.open_database()
    send(database)
    status(database, START)
    assert asked(database) == []
    database.close()
    for path in tmp_path.glob("desk.db*"):
        path.unlink()

    database = team.open_database()
    box.accept(arrivals(measured("100", 300)), sealer, now_ms=START)
    status(database, START + MINUTE)
    ((epoch, ranges),) = asked(database)
    assert lineage(epoch) == lineage(box.this_epoch())
    assert Store.resend(box, epoch, ranges, now_ms=START) == []
    send(database)
    status(database, START + 2 * MINUTE)
    assert len(asked(database)) == 1
    database.close()
    assert rows(team.database, "SELECT count(*), count(DISTINCT t) FROM observation") == [(61, 61)]
    box.close()


def run(team: Team, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["resend", "--database", str(team.database), *options])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("lang", "unheard", "nothing", "again"),
    [
        ("fr", "rien reçu de ce boîtier", "il ne manque rien", "5 relevés redemandés"),
        ("en", "nothing was heard of this box", "nothing is missing", "5 records asked for again"),
    ],
)
def test_a_person_asks_again_and_reads_what_becomes_of_it(
    team: Team, lang: str, unheard: str, nothing: str, again: str
) -> None:
    database = team.open_database()
    code, said = run(team, "--box", BOX, "--lang", lang)
    assert (code, unheard in said) == (0, True)
    team.store(database, team.opened(0, [glucose(0)]))
    says(team, database, next_seq=1, backlog=0, at=START)
    code, said = run(team, "--box", BOX, "--lang", lang)
    assert (code, nothing in said) == (0, True)
    assert asked(database) == []
    # What only waits is not asked for by itself, but a person may.
    says(team, database, next_seq=6, backlog=5, at=START + MINUTE)
    assert asked(database) == []
    code, said = run(team, "--lang", lang)
    assert (code, again in said) == (0, True)
    assert asked(database) == [(EPOCH, (Range(1, 5),))]
    run(team, "--everything")
    assert asked(database)[1] == (EPOCH, (Range(0, 5),))
    assert [view.signed_by for view in commands(database)] == [(), ()]
    database.close()


def test_an_unknown_box_is_refused_with_those_that_are_known(team: Team) -> None:
    team.open_database().close()
    code, said = run(team, "--box", "box-0099")
    assert code == 2
    assert "There is no box 'box-0099' here. Known boxes: box-0001, box-0002." in said

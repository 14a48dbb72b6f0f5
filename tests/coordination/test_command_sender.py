"""What leaves for a box is signed by the team's programs where its kind asks for that, and only there."""

import asyncio
from functools import partial

import pytest

from coordination.command_sender import CommandSender
from coordination.database_thread import DatabaseThread
from coordination.sql_database import SqlDatabase
from devices.clock import SystemClock
from exchange.command_bodies import ListBody, ResendBody
from exchange.commands import CommandKind, SignedCommand, Trust, check_authority, encode, open_command
from exchange.connection import LinkSettings
from exchange.errors import CommandError
from exchange.identity import OpeningKey
from exchange.messages import Range
from exchange.sealed_notes import Reader
from exchange.team_list import verify_team_list
from tests.coordination.kit import BOX, EPOCH, Team
from tests.coordination.wire import Wire
from tests.exchange.office import Office


async def sent(team: Team, office: Office, to: OpeningKey, kind: CommandKind, body: ListBody | ResendBody) -> bytes:
    """Queue a command as programs do, without a signature; return what leaves."""
    wire = Wire()
    settings = LinkSettings(
        host="-",
        port=1,
        client_id="inbox-1",
        ca=team.folder,
        certificate=team.folder,
        key=team.folder,
        session_expiry_s=0,
        clean_start=True,
    )
    now = SystemClock().now_ms()
    command = office.command(kind, body, issued_at=now)
    team.open_database().close()
    async with (
        DatabaseThread(partial(SqlDatabase, team.database)) as store,
        wire.link(settings) as line,
        asyncio.TaskGroup() as group,
    ):
        signed = SignedCommand(command=encode(command))
        await store.call(lambda database: database.commands.queue(command, signed, signed_by=(), now=now))
        sender = CommandSender(
            store=store, line=line, signer=lambda: office.receipt, reader_of=lambda _box: Reader.of(to)
        )
        task = group.create_task(sender.run())
        await wire.until(lambda: bool(wire.published))
        task.cancel()
    return wire.published[0][1]


async def test_a_list_is_believed_by_a_box_that_does_not_know_the_teams_key_of_now(team: Team) -> None:
    """The box was away for two months: its own list names no key of today, so none of those may be asked for."""
    before = Office()
    now, box = Office(root=before.root), OpeningKey.generate()
    data = await sent(team, now, box, CommandKind.TEAM_LIST, ListBody(data=now.team_list(version=3)))
    roots = {before.root.id: before.root.public}
    received = open_command(
        data,
        box=BOX,
        keys=[box],
        automation=before.team().signers(),
        list_signers=lambda offered: verify_team_list(offered, roots=roots).signers(),
    )
    assert check_authority(received, Trust(people={}, automation=before.team().signers(), stale=True)) == ()


async def test_what_programs_order_is_signed_by_them(team: Team) -> None:
    office, box = Office(), OpeningKey.generate()
    data = await sent(team, office, box, CommandKind.RESEND, ResendBody(epoch=EPOCH, ranges=(Range(0, 1),)))
    signers = office.team().signers()
    received = open_command(data, box=BOX, keys=[box], automation=signers, list_signers=lambda _offered: {})
    (who,) = check_authority(received, Trust(people={}, automation=signers, stale=True))
    assert office.receipt.id in who.name
    with pytest.raises(CommandError, match="nobody's key"):
        check_authority(received, Trust(people={}, automation={}, stale=False))

"""The shape of the box's database, step by numbered step, each in one transaction.

Names and order never change once released. What could be health data lies only in sealed `body` columns;
in the clear are numbers, times and keyed digests (docs/adr/0003).
"""

from sqlite_utils.db import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("veilleur-box")


@migrations(name="0001_buffer")
def buffer(db: Database) -> None:
    """Readings, the outbox, what the engine remembers, and the wrapped data keys."""
    db.table("meta").create({"name": str, "value": bytes}, pk="name", not_null={"value"})
    db.table("data_key").create({"id": int, "created": int, "wrapped": bytes}, pk="id", not_null={"created", "wrapped"})
    db.table("stream").create(
        {"id": int, "digest": bytes, "since": int, "cursor": int, "attempts": int, "body": bytes},
        pk="id",
        not_null={"digest", "cursor", "attempts"},
        defaults={"cursor": 0, "attempts": 0},
    ).create_index(["digest"], unique=True)
    db.execute("""
        create table reading (
            id integer primary key autoincrement,
            stream integer not null references stream(id),
            digest blob not null unique,
            measured_at integer not null,
            state integer not null default 0,
            body blob not null
        )""")
    db.table("reading").create_index(["stream", "measured_at"])
    db.execute("""
        create table outbox (
            first integer primary key,
            last integer not null,
            lane integer not null,
            created integer not null,
            receipted_at integer,
            body blob not null
        )""")
    db.execute("create index outbox_waiting on outbox(lane, first) where receipted_at is null")
    db.execute("create index outbox_receipted on outbox(receipted_at) where receipted_at is not null")
    db.execute("""
        create table alert (
            digest blob primary key,
            stream integer not null,
            standing integer not null,
            body blob not null
        ) without rowid""")
    db.table("device").create({"digest": bytes, "body": bytes}, pk="digest", not_null={"body"})
    db.table("counter").create({"name": str, "n": int}, pk="name", not_null={"n"})


@migrations(name="0002_device_facts")
def device_facts(db: Database) -> None:
    """What each device said about itself: when it was seen, its battery, its clock, its maker."""
    db.table("device_facts").create({"digest": bytes, "body": bytes}, pk="digest", not_null={"body"})


@migrations(name="0003_shadows")
def shadows(db: Database) -> None:
    """What shadow protocols came to, apart from all that is told; and when an alert was first told, to compare."""
    db.execute("alter table alert add column told_at integer")
    db.execute("""
        create table shadow (
            stream integer primary key references stream(id),
            since integer not null,
            counted_from integer not null,
            until integer not null,
            cursor integer not null,
            body blob not null
        )""")
    db.execute("""
        create table shadow_alert (
            digest blob primary key,
            stream integer not null references stream(id),
            raised_at integer not null,
            standing integer not null,
            told_at integer,
            body blob not null
        ) without rowid""")
    db.execute("create index shadow_alert_raised on shadow_alert(stream, raised_at)")
    db.execute("""
        create table shadow_left_out (
            reading integer primary key references reading(id) on delete cascade,
            stream integer not null references stream(id)
        )""")


@migrations(name="0004_clock")
def clock(db: Database) -> None:
    """From where the box's own time ran, and what was received since, so that it can be put right once it is known."""
    db.execute("""
        create table clock_stretch (
            id integer primary key,
            boot text not null,
            mono integer not null,
            wall integer not null,
            trusted integer not null,
            epoch text not null,
            first_seq integer not null,
            first_row integer not null
        )""")


@migrations(name="0005_commands")
def commands(db: Database) -> None:
    """What the team ordered: what came of it, the highest version of each series, and the protocols."""
    db.execute("""
        create table command (
            id integer primary key autoincrement,
            digest blob not null unique,
            received_at integer not null,
            attempts integer not null default 0,
            answered integer not null default 0,
            body blob not null
        )""")
    db.table("command_series").create({"digest": bytes, "body": bytes}, pk="digest", not_null={"body"})
    db.table("ordered_protocol").create({"digest": bytes, "body": bytes}, pk="digest", not_null={"body"})


@migrations(name="0006_epochs")
def epochs(db: Database) -> None:
    """Which epoch gave which numbers, under which each alert was said last, which were altered in the outbox.

    And up to when (ms UTC, exclusive) readings of a patient were forgotten.
    """
    db.execute("create table epoch (name text primary key, first integer not null unique) without rowid")
    db.execute("insert into epoch(name, first) select cast(value as text), 0 from meta where name = 'epoch'")
    db.execute("alter table alert add column seq integer")
    db.execute("alter table stream add column forgotten_to integer not null default 0")
    db.execute("create table unsendable (first integer primary key, last integer not null, lane integer not null)")


@migrations(name="0007_memos")
def memos(db: Database) -> None:
    """What parts of the box remember, each under a name of its own."""
    db.table("memo").create({"digest": bytes, "body": bytes}, pk="digest", not_null={"body"})


@migrations(name="0008_audit")
def audit(db: Database) -> None:
    """The record of acts: entries, signed checkpoints, keys of what may be erased, and heads that the team saw."""
    db.execute(
        "create table audit (n integer primary key, at integer not null, hash blob not null, body blob not null)"
    )
    db.execute("create index audit_at on audit(at)")
    db.execute("create table audit_checkpoint (n integer primary key, at integer not null, signed blob not null)")
    db.execute("create table audit_subject (digest blob primary key, body blob not null) without rowid")
    db.execute("""
        create table audit_witness (
            log text not null,
            chain text not null,
            n integer not null,
            hash blob not null,
            at integer not null,
            proof blob not null,
            primary key (log, chain, n, hash)
        ) without rowid""")


@migrations(name="0009_segments")
def segments(db: Database) -> None:
    """Readings of streams, many in one sealed row; and what became of single ones among them."""
    db.execute("""
        create table segment (
            first integer primary key,
            last integer not null,
            stream integer not null references stream(id),
            state integer not null,
            first_seq integer not null,
            last_seq integer not null,
            measured_from integer not null,
            measured_to integer not null,
            body blob not null
        )""")
    db.execute("create index segment_measured on segment(stream, measured_to, measured_from)")
    db.execute("""
        create table segment_mark (
            row integer primary key,
            segment integer not null references segment(first) on delete cascade,
            state integer not null
        )""")
    db.execute("create index segment_mark_of on segment_mark(segment)")
    db.execute("""
        create table segment_left_out (
            row integer primary key,
            segment integer not null references segment(first) on delete cascade,
            stream integer not null references stream(id)
        )""")
    db.execute("create index segment_left_out_of on segment_left_out(segment)")


@migrations(name="0010_receipts")
def receipts(db: Database) -> None:
    """An outbox whose row keeps its length when a receipt comes: the envelope behind it is not written a second time.

    `spare` holds the six bytes that the time of the receipt takes (docs/adr/0032). Needs as much room as the outbox.
    """
    db.execute("alter table outbox rename to outbox_before")
    db.execute("""
        create table outbox (
            first integer primary key,
            last integer not null,
            lane integer not null,
            created integer not null,
            receipted_at integer,
            spare blob not null default x'000000000000',
            body blob not null
        )""")
    db.execute("""
        insert into outbox(first, last, lane, created, receipted_at, spare, body)
        select first, last, lane, created, receipted_at, iif(receipted_at is null, x'000000000000', x''), body
        from outbox_before order by first""")
    db.execute("drop table outbox_before")
    db.execute("create index outbox_waiting on outbox(lane, first) where receipted_at is null")
    db.execute("create index outbox_receipted on outbox(receipted_at) where receipted_at is not null")

"""The steps by which a team's database of an earlier version becomes one of this.

Each is done in one transaction with the number that it leads to, and never changed once released. What the tables hold
is said in schema.sql, where a new database gets them from; a test holds that both ways lead to the same.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coordination.command_tables import COMMANDS
from coordination.problem_tables import PROBLEMS
from coordination.self_report_tables import ADAPTED, SELF_REPORT

_ALERT_WHOLE: Final = (
    "ALTER TABLE alert ADD COLUMN audience TEXT NOT NULL DEFAULT 'nurse'",
    "ALTER TABLE alert ADD COLUMN told_at INTEGER",
    "ALTER TABLE alert ADD COLUMN due_by INTEGER",
    "ALTER TABLE alert ADD COLUMN record TEXT NOT NULL DEFAULT ''",
    """UPDATE alert SET told_at = raised_at, record = coalesce(
        (SELECT content FROM alert_event WHERE alert_id = alert.id AND epoch <> 'desk' AND alert_event.kind = alert.kind
        ORDER BY created DESC, seq DESC LIMIT 1),
        (SELECT content FROM alert_event WHERE alert_id = alert.id AND epoch <> 'desk' LIMIT 1))""",
)
_ENROLMENT: Final = (
    """CREATE TABLE box_key (
    box_id INTEGER NOT NULL REFERENCES box (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('signing', 'opening')),
    key TEXT NOT NULL,
    public TEXT NOT NULL,
    since INTEGER NOT NULL,
    revoked_at INTEGER,
    reason TEXT,
    PRIMARY KEY (box_id, purpose, key)
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX box_key_public ON box_key (public)",
    """CREATE TABLE box_certificate (
    serial TEXT PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    revoked_at INTEGER,
    reason TEXT,
    tls_key TEXT NOT NULL,
    pem BLOB NOT NULL
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX box_certificate_box ON box_certificate (box_id, issued_at)",
    """CREATE TABLE enrolment (
    place TEXT PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    secret BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'claimed', 'confirmed', 'done', 'refused', 'void')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    wrong INTEGER NOT NULL DEFAULT 0,
    offers INTEGER NOT NULL DEFAULT 0,
    csr BLOB,
    signing TEXT,
    opening TEXT,
    digits TEXT,
    decided_at INTEGER,
    decided_by TEXT
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE enrolment_failure (
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT""",
    "CREATE INDEX enrolment_failure_source ON enrolment_failure (source, at)",
)
_CLOCK_AND_CANARY: Final = (
    "ALTER TABLE inbox_listening ADD COLUMN until INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE inbox_listening ADD COLUMN roster INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE box ADD COLUMN canary_at INTEGER",
    "ALTER TABLE box ADD COLUMN canary_listened INTEGER",
    "ALTER TABLE box ADD COLUMN back_listened INTEGER",
    """CREATE TABLE clock_correction (
            box_id INTEGER NOT NULL REFERENCES box (id),
            epoch TEXT NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL CHECK (last >= first),
            "offset" INTEGER NOT NULL,
            boot TEXT NOT NULL,
            mono_from INTEGER NOT NULL,
            mono_to INTEGER NOT NULL,
            at INTEGER NOT NULL,
            stored_at INTEGER NOT NULL,
            PRIMARY KEY (box_id, epoch, first)
        ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE canary (
            id INTEGER PRIMARY KEY,
            box_id INTEGER NOT NULL REFERENCES box (id),
            epoch TEXT NOT NULL,
            seq INTEGER NOT NULL,
            at INTEGER NOT NULL,
            count INTEGER NOT NULL,
            asked TEXT NOT NULL,
            stored_at INTEGER NOT NULL,
            UNIQUE (box_id, epoch, seq)
        ) STRICT""",
)
_DECLARED_GAP: Final = (
    """CREATE TABLE declared_gap (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    patient_id INTEGER REFERENCES patient (id),
    lane INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    first INTEGER,
    last INTEGER CHECK (last >= first),
    "from" INTEGER NOT NULL,
    "to" INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    reason TEXT NOT NULL,
    stored_at INTEGER NOT NULL
) STRICT""",
    "CREATE UNIQUE INDEX declared_gap_once ON declared_gap (box_id, epoch, first) WHERE first IS NOT NULL",
    'CREATE INDEX declared_gap_patient ON declared_gap (patient_id, "from")',
)

_AUDIT: Final = (
    """CREATE TABLE audit (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT""",
    "CREATE INDEX audit_at ON audit (at)",
    """CREATE TABLE audit_chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    chain TEXT NOT NULL
) STRICT""",
    """CREATE TABLE audit_checkpoint (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT""",
    """CREATE TABLE audit_subject (
    name TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    said TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE audit_witness (
    box_id INTEGER NOT NULL REFERENCES box (id),
    chain TEXT NOT NULL,
    n INTEGER NOT NULL,
    hash TEXT NOT NULL,
    since INTEGER NOT NULL,
    since_hash TEXT NOT NULL,
    at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (box_id, chain, n, hash, since, since_hash)
) STRICT, WITHOUT ROWID""",
)
_TEAMS: Final = (
    """CREATE TABLE team (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT""",
    "INSERT INTO team (id, name) VALUES (1, 'Équipe de coordination')",
    "ALTER TABLE patient ADD COLUMN team_id INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE box ADD COLUMN team_id INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE alert ADD COLUMN team_id INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE alert ADD COLUMN holder TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE alert ADD COLUMN holder_id INTEGER",
    "ALTER TABLE alert ADD COLUMN taken_at INTEGER",
    "ALTER TABLE alert ADD COLUMN handled INTEGER NOT NULL DEFAULT 0",
    "DROP INDEX alert_worklist",
    "CREATE INDEX alert_worklist ON alert (team_id, prio, raised_at) WHERE state < 2",
)
_REPLACED_KEYS: Final = ("ALTER TABLE box_key ADD COLUMN ended_at INTEGER",)
_REPEATS_AND_MOVED_GAPS: Final = (
    "ALTER TABLE declared_gap ADD COLUMN clock TEXT NOT NULL DEFAULT 'device'",
    "ALTER TABLE declared_gap ADD COLUMN said_epoch TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE declared_gap ADD COLUMN said_seq INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE device_record (
    device_id INTEGER NOT NULL REFERENCES device (id),
    quantity TEXT NOT NULL,
    key TEXT NOT NULL,
    count INTEGER NOT NULL,
    validity TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device_id, key, quantity, count, validity)
) STRICT, WITHOUT ROWID""",
    """INSERT OR IGNORE INTO device_record (device_id, quantity, key, count, validity)
        SELECT device_id, quantity, key, count, validity FROM observation""",
)
_PATIENTS_AT_THE_DESK: Final = (
    "ALTER TABLE patient ADD COLUMN followed_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE patient ADD COLUMN begun_at INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE patient ADD COLUMN ended_at INTEGER",
    "ALTER TABLE box_assignment ADD COLUMN origin TEXT NOT NULL DEFAULT 'settings'",
    """CREATE TABLE erased_patient (
    tag TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
)
_ENROLMENT_AT_THE_DESK: Final = (
    "ALTER TABLE enrolment ADD COLUMN team_id INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE enrolment ADD COLUMN opened_by INTEGER",
    "ALTER TABLE enrolment ADD COLUMN patient TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE enrolment ADD COLUMN protocol TEXT NOT NULL DEFAULT ''",
)
_NUMBERS_ONCE: Final = (
    # received_range says which numbers came.
    "DROP TABLE observation_key",
    *ADAPTED,
)
STEPS: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType(
    {
        2: _ALERT_WHOLE,
        3: _ENROLMENT,
        4: _CLOCK_AND_CANARY,
        5: COMMANDS,
        6: _AUDIT,
        7: _DECLARED_GAP,
        8: _REPLACED_KEYS,
        9: _REPEATS_AND_MOVED_GAPS,
        10: _TEAMS,
        11: _PATIENTS_AT_THE_DESK,
        12: PROBLEMS,
        13: _ENROLMENT_AT_THE_DESK,
        14: SELF_REPORT,
        15: _NUMBERS_ONCE,
    }
)
"""Version -> what makes it of the one before."""
VERSION: Final = max(STEPS)

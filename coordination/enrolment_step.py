"""The step that gives a team's database of before the tables of boxes' keys, certificates and enrolments.

What they hold is said in schema.sql, where a new database gets them from.
"""

from typing import Final

ENROLMENT_STEP: Final = (
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

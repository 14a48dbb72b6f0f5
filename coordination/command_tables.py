"""The step of the team's database that adds commands, as in schema.sql, which says what each column holds."""

COMMANDS = (
    """CREATE TABLE command (
    id TEXT PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    about TEXT NOT NULL,
    version INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    content BLOB NOT NULL,
    signed_by TEXT NOT NULL,
    protocol_hash TEXT NOT NULL,
    state TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL
) STRICT""",
    "CREATE INDEX command_waiting ON command (next_at) WHERE state IN ('queued', 'sent', 'accepted')",
    "CREATE INDEX command_series ON command (box_id, kind, subject, about)",
    """CREATE TABLE command_ack (
    id INTEGER PRIMARY KEY,
    command_id TEXT NOT NULL REFERENCES command (id),
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    protocol_hash TEXT NOT NULL,
    highest INTEGER NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (command_id, state, reason, at)
) STRICT""",
    """CREATE TABLE care_protocol (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    first_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE alert_outcome (
    alert_id TEXT PRIMARY KEY REFERENCES alert (id),
    outcome TEXT NOT NULL,
    person TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
)

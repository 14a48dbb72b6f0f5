"""The steps of the team's database that add what people answer about themselves; schema.sql says what columns hold."""

SELF_REPORT = (
    """CREATE TABLE self_report (
    patient_id INTEGER PRIMARY KEY REFERENCES patient (id),
    questionnaire TEXT NOT NULL,
    protocol TEXT NOT NULL,
    protocol_hash TEXT NOT NULL,
    protocol_text TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_id INTEGER,
    proposed_at INTEGER NOT NULL,
    confirmed_by TEXT NOT NULL DEFAULT '',
    since INTEGER,
    ended_at INTEGER,
    version INTEGER NOT NULL DEFAULT 0,
    every_days INTEGER,
    next_link_at INTEGER,
    way TEXT NOT NULL DEFAULT 'hand' CHECK (way IN ('hand', 'relay')),
    cursor INTEGER NOT NULL DEFAULT 0,
    snapshot BLOB,
    due_at INTEGER,
    judged_at INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT""",
    """CREATE TABLE questionnaire_link (
    id INTEGER PRIMARY KEY,
    patient_id INTEGER NOT NULL REFERENCES patient (id),
    questionnaire TEXT NOT NULL,
    questionnaire_version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'open', 'answered', 'revoked', 'failed')),
    token_hash TEXT UNIQUE,
    way TEXT NOT NULL CHECK (way IN ('hand', 'relay')),
    made_by TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    answered_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER
) STRICT""",
    "CREATE INDEX questionnaire_link_patient ON questionnaire_link (patient_id, made_at)",
    "CREATE INDEX questionnaire_link_queued ON questionnaire_link (next_at) WHERE state = 'queued'",
    """CREATE TABLE self_report_pass (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT""",
    """CREATE TABLE questionnaire_guess (
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT""",
    "CREATE INDEX questionnaire_guess_source ON questionnaire_guess (source, at)",
)

ADAPTED = (
    "ALTER TABLE self_report ADD COLUMN judged_hash TEXT NOT NULL DEFAULT ''",
    "UPDATE self_report SET judged_hash = protocol_hash WHERE snapshot IS NOT NULL",
    "ALTER TABLE self_report ADD COLUMN change_hash TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE self_report ADD COLUMN change_text TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE self_report ADD COLUMN change_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE self_report ADD COLUMN change_id INTEGER",
    "ALTER TABLE self_report ADD COLUMN change_at INTEGER",
)
"""Other thresholds for a follow-up under way, proposed and waiting for a second person."""

-- The team's database, version 1. Names are those that the desk's first migration adopts: a column `x_id` is the
-- desk's foreign key `x`. Times are ms UTC, values are counts of their quantity's quantum.

-- A coordination team. Row 1 is the one of whoever nobody gave to another.
CREATE TABLE team (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO team (id, name) VALUES (1, 'Équipe de coordination');

-- A pseudonym and nothing else about the person: identity lives in a table of its own, under its own key.
-- followed_by: the hash of the care protocol that the team follows them by, "" for those whom the settings name.
-- ended_at: when their follow-up ended; what they measured before is kept and shown.
CREATE TABLE patient (
    id INTEGER PRIMARY KEY,
    pseudonym TEXT NOT NULL UNIQUE,
    time_zone TEXT NOT NULL,
    team_id INTEGER NOT NULL DEFAULT 1,
    followed_by TEXT NOT NULL DEFAULT '',
    begun_at INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER
) STRICT;

-- Pseudonyms of patients who were erased, each as a keyed hash: what their boxes still send is received and not kept.
CREATE TABLE erased_patient (
    tag TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- heard_at: when a message of this box last said something new, by the team's clock; heard_listened: what
-- inbox_listening showed then. status_at: the latest time, by the box's clock, of the statuses that counted as news.
-- canary_at, canary_listened: the same as heard_at and heard_listened, of its last canary. back_listened: the
-- same of its last return after it had been away for hours.
CREATE TABLE box (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    heard_at INTEGER,
    heard_listened INTEGER,
    status_at INTEGER,
    canary_at INTEGER,
    canary_listened INTEGER,
    back_listened INTEGER,
    team_id INTEGER NOT NULL DEFAULT 1
) STRICT;

-- "from" is included, "to" is not, and is null while the assignment lasts. listened: what inbox_listening showed
-- when the assignment began to be watched. origin: who says so, the settings or a person at the desk.
CREATE TABLE box_assignment (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    patient_id INTEGER NOT NULL REFERENCES patient (id),
    "from" INTEGER NOT NULL,
    "to" INTEGER,
    listened INTEGER NOT NULL,
    origin TEXT NOT NULL DEFAULT 'settings',
    UNIQUE (box_id, patient_id, "from")
) STRICT;

CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    name TEXT NOT NULL,
    first_data_at INTEGER NOT NULL,
    last_data_at INTEGER NOT NULL,
    UNIQUE (box_id, name)
) STRICT;

-- A silence of one device, or of the whole box when device_id is null. "to" is null while it lasts.
CREATE TABLE device_silence (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    device_id INTEGER REFERENCES device (id),
    "from" INTEGER NOT NULL,
    "to" INTEGER,
    cause TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_silence_once ON device_silence (box_id, ifnull(device_id, 0), "from");

-- What was received of each epoch: disjoint, never adjacent, both ends included. One row when nothing is missing.
CREATE TABLE received_range (
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first),
    PRIMARY KEY (box_id, epoch, first)
) STRICT, WITHOUT ROWID;

-- What a box says will not come: readings of one patient, dropped or never kept, measured "from" to "to". first and
-- last are sequence numbers, both included, and null for what was never numbered. received_range alone says what came.
CREATE TABLE declared_gap (
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
    stored_at INTEGER NOT NULL,
    -- What "from" and "to" rest on: 'device', 'arrival' (by the box's time, which a correction moves) or 'corrected'.
    clock TEXT NOT NULL DEFAULT 'device',
    -- Under which number the box said it: by a time that it found wrong since, or by a right one.
    said_epoch TEXT NOT NULL DEFAULT '',
    said_seq INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX declared_gap_once ON declared_gap (box_id, epoch, first) WHERE first IS NOT NULL;
CREATE INDEX declared_gap_patient ON declared_gap (patient_id, "from");

-- What a device's reading is, whichever number it came under: a device hands its memory over again to a box that lost
-- what it knew of it. One that was dated by its arrival in a stream is nobody's memory, and not here.
CREATE TABLE device_record (
    device_id INTEGER NOT NULL REFERENCES device (id),
    quantity TEXT NOT NULL,
    key TEXT NOT NULL,
    count INTEGER NOT NULL,
    validity TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device_id, key, quantity, count, validity)
) STRICT, WITHOUT ROWID;

-- t: when it was measured; received_at: when the box had it; stored_at: when the team had it.
CREATE TABLE observation (
    id INTEGER PRIMARY KEY,
    patient_id INTEGER NOT NULL REFERENCES patient (id),
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    device_id INTEGER NOT NULL REFERENCES device (id),
    quantity TEXT NOT NULL,
    count INTEGER NOT NULL,
    unit TEXT NOT NULL,
    validity TEXT NOT NULL,
    t INTEGER NOT NULL,
    clock TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    key TEXT NOT NULL,
    quality INTEGER NOT NULL,
    source TEXT NOT NULL,
    device_value TEXT,
    device_unit TEXT NOT NULL,
    device_time TEXT,
    frame BLOB NOT NULL
) STRICT;
CREATE INDEX observation_patient_t ON observation (patient_id, t);

-- Received and receipted, but not to be shown as anybody's yet. content is the record as it travelled (JSON);
-- patient is what the box claimed.
CREATE TABLE to_attribute (
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    patient TEXT NOT NULL,
    reason TEXT NOT NULL,
    created INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (box_id, epoch, seq)
) STRICT;

-- One row an alert, computed from its events: version counts them. The box, or the inbox itself (origin "team"),
-- owns what is up to evidence; the team owns state (0 new, 1 taken, 2 closed) and the two deadlines.
-- patient_id is null when the alert is about the box alone. prio: 1 high, 2 medium, 3 low. told_at: from when on it is
-- told, null while it is held back. record: the last change as it travelled (JSON). holder: the name of who has it in
-- hand since taken_at, "" when nobody has; holder_id: their row in the desk's table of people, when they have one.
-- handled: counts what people did with it, so that of two who act at once one is told that the other was first.
-- recall_at: when its holder will call again somebody who could not be reached; escalated_at: when it was told to the
-- physicians because nobody had taken or closed it in time; physician_at: when somebody told one; closed_at: when it was
-- closed, null while it is not.
CREATE TABLE alert (
    id TEXT PRIMARY KEY,
    patient_id INTEGER REFERENCES patient (id),
    box_id INTEGER NOT NULL REFERENCES box (id),
    origin TEXT NOT NULL CHECK (origin IN ('box', 'team')),
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    prio INTEGER NOT NULL CHECK (prio BETWEEN 1 AND 3),
    category TEXT NOT NULL,
    onset INTEGER NOT NULL,
    raised_at INTEGER NOT NULL,
    resolved_at INTEGER,
    late INTEGER NOT NULL,
    supersedes TEXT,
    text_fr TEXT NOT NULL,
    text_en TEXT NOT NULL,
    protocol TEXT NOT NULL,
    protocol_version INTEGER NOT NULL,
    protocol_hash TEXT NOT NULL,
    engine_version TEXT NOT NULL,
    evidence TEXT NOT NULL,
    audience TEXT NOT NULL DEFAULT 'nurse',
    told_at INTEGER,
    due_by INTEGER,
    record TEXT NOT NULL DEFAULT '',
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 2),
    ack_due INTEGER,
    act_due INTEGER,
    team_id INTEGER NOT NULL DEFAULT 1,
    holder TEXT NOT NULL DEFAULT '',
    holder_id INTEGER,
    taken_at INTEGER,
    handled INTEGER NOT NULL DEFAULT 0,
    recall_at INTEGER,
    escalated_at INTEGER,
    physician_at INTEGER,
    closed_at INTEGER
) STRICT;
CREATE INDEX alert_open ON alert (patient_id, box_id, rule_id) WHERE state < 2;
CREATE INDEX alert_closed ON alert (team_id, closed_at);
CREATE INDEX alert_patient ON alert (patient_id, raised_at);
CREATE INDEX alert_supersedes ON alert (supersedes) WHERE supersedes IS NOT NULL;

-- Every change of every alert, as it was said. epoch is "" and seq counts from 0 for what the inbox itself says.
CREATE TABLE alert_event (
    id INTEGER PRIMARY KEY,
    alert_id TEXT NOT NULL REFERENCES alert (id) DEFERRABLE INITIALLY DEFERRED,
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (alert_id, box_id, epoch, seq)
) STRICT;

-- What people, and the team's programs in their place ("team"), did with an alert. handled: the alert's after it; turn:
-- what was done at once with several. detail (JSON): to whom, how, what came of it. note: health data, in nobody's record
-- of acts; whoever erases a patient erases it here. before (JSON): how the alert stood, so that it can be undone.
CREATE TABLE alert_act (
    id INTEGER PRIMARY KEY,
    alert_id TEXT NOT NULL REFERENCES alert (id),
    turn TEXT NOT NULL,
    handled INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    person TEXT NOT NULL,
    person_id INTEGER,
    detail TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    before TEXT NOT NULL,
    UNIQUE (alert_id, handled)
) STRICT;
CREATE INDEX alert_act_turn ON alert_act (turn);
CREATE INDEX alert_act_at ON alert_act (at);

-- What waits for somebody: one row a patient (or box) and rule, worked out of the alerts that wait
-- (coordination/problem_tables.py) whenever one of them changes. alert_id: the newest of those that ask most,
-- with its state; due, lapses_at: 2^53 for never. lapses_at: when the inbox has something to do about it. stamp: grows
-- with every change; arrived: what it was when the row last came to ask for somebody.
CREATE TABLE problem (
    id TEXT PRIMARY KEY,
    team_id INTEGER NOT NULL,
    patient_id INTEGER REFERENCES patient (id),
    box_id INTEGER NOT NULL REFERENCES box (id),
    rule_id TEXT NOT NULL,
    protocol TEXT NOT NULL,
    alert_id TEXT NOT NULL REFERENCES alert (id),
    raised_at INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    state INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    due INTEGER NOT NULL,
    lapses_at INTEGER NOT NULL,
    escalated_at INTEGER,
    physician_at INTEGER,
    holder_id INTEGER,
    holder TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    arrived INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX problem_order ON problem (team_id, priority, state, due, raised_at);
CREATE INDEX problem_patient ON problem (patient_id);
CREATE INDEX problem_lapses ON problem (lapses_at);

-- How soon a team takes and closes alerts of a priority (4: technical); without a row coordination/deadlines.py says.
CREATE TABLE team_deadline (
    team_id INTEGER NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 4),
    ack_ms INTEGER NOT NULL CHECK (ack_ms > 0),
    act_ms INTEGER NOT NULL CHECK (act_ms > 0),
    PRIMARY KEY (team_id, priority)
) STRICT, WITHOUT ROWID;

-- When a team reads its alerts; without a row around the clock. days: digits, 0 Monday; opens, closes: local minutes.
CREATE TABLE team_hours (
    team_id INTEGER PRIMARY KEY,
    zone TEXT NOT NULL,
    days TEXT NOT NULL,
    opens INTEGER NOT NULL,
    closes INTEGER NOT NULL CHECK (closes > opens)
) STRICT;

-- The last receipt signed for each epoch, as it was sent.
CREATE TABLE receipt (
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    stage TEXT NOT NULL,
    high INTEGER NOT NULL,
    t INTEGER NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (box_id, epoch, stage)
) STRICT, WITHOUT ROWID;

-- What each box last said about itself. "at" is by the box's clock, received_at by the team's.
CREATE TABLE box_status (
    box_id INTEGER PRIMARY KEY REFERENCES box (id),
    state TEXT NOT NULL,
    epoch TEXT NOT NULL,
    session TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    backlog INTEGER NOT NULL,
    version TEXT NOT NULL,
    protocols TEXT NOT NULL,
    at INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;

-- The first distinct messages that were refused. box is what the topic said, null when it said nothing usable.
CREATE TABLE inbox_dead_letter (
    id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    box TEXT,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX inbox_dead_letter_once ON inbox_dead_letter (sha256, reason, ifnull(box, ''));

-- Every message that was refused, kept above or not.
CREATE TABLE inbox_dead_letter_count (
    reason TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;

-- One row. listened: for how long, in all, at least one worker of the inbox has been able to hear boxes, in ms of the
-- team's clock; until: what of that clock is counted in it. roster: counts the changes of who is known, so that every
-- worker takes them up.
CREATE TABLE inbox_listening (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    listened INTEGER NOT NULL,
    until INTEGER NOT NULL DEFAULT 0,
    roster INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO inbox_listening (id, listened) VALUES (1, 0);

-- Public keys of enrolled boxes, and of any box that was revoked: Ed25519 for signing, X25519 for opening. key: its id;
-- public: 64 hexadecimal digits. A key that was revoked stays so. ended_at: when other keys took its place; what it sealed
-- is still taken from their hands. Times here and below are real ones.
CREATE TABLE box_key (
    box_id INTEGER NOT NULL REFERENCES box (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('signing', 'opening')),
    key TEXT NOT NULL,
    public TEXT NOT NULL,
    since INTEGER NOT NULL,
    revoked_at INTEGER,
    reason TEXT,
    ended_at INTEGER,
    PRIMARY KEY (box_id, purpose, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX box_key_public ON box_key (public);

-- Every certificate that a box was given through an enrolment or a renewal. serial: hexadecimal, lower case; tls_key:
-- SHA-256 of the public key that it is for.
CREATE TABLE box_certificate (
    serial TEXT PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    revoked_at INTEGER,
    reason TEXT,
    tls_key TEXT NOT NULL,
    pem BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX box_certificate_box ON box_certificate (box_id, issued_at);

-- One row a code. place and secret are of the code (exchange/enrolment_code.py), secret as a hash only. wrong: wrong
-- secrets for this place; offers: nonces given for it. csr, signing, opening: of the machine that claimed it; digits:
-- of its last conversation, which the nurse compares. decided_by: who did. team_id, opened_by: at whose desk it was asked
-- for, and by whom of its people, null from a command. patient, protocol: whom the box is for, besides those that
-- desk.toml gives it; '' for nobody.
CREATE TABLE enrolment (
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
    decided_by TEXT,
    team_id INTEGER NOT NULL DEFAULT 1,
    opened_by INTEGER,
    patient TEXT NOT NULL DEFAULT '',
    protocol TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Who failed to enrol or to renew lately, by network address: kept for a day.
CREATE TABLE enrolment_failure (
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT;
CREATE INDEX enrolment_failure_source ON enrolment_failure (source, at);

-- What a box found out about its own time: the records first to last (both included) of the epoch were received "offset"
-- ms later than they say. t and received_at of observations are moved already; "at" is by the box's clock put right.
CREATE TABLE clock_correction (
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
) STRICT, WITHOUT ROWID;

-- The last canaries of each box: readings of nobody's, which show that what it keeps arrives.
CREATE TABLE canary (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    asked TEXT NOT NULL,
    stored_at INTEGER NOT NULL,
    UNIQUE (box_id, epoch, seq)
) STRICT;

-- What the team told boxes to do. content: the command and its signatures as they travel inside the seal (MessagePack);
-- without signatures the team's programs sign as it leaves. signed_by: names (JSON). next_at: when it is sent (again).
-- state 'to_sign': one person signed it and a second must; it is not sent. subject '@erased', with empty content: an
-- order to erase somebody whom the team erased meanwhile, over.
CREATE TABLE command (
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
) STRICT;
CREATE INDEX command_waiting ON command (next_at) WHERE state IN ('queued', 'sent', 'accepted');
CREATE INDEX command_series ON command (box_id, kind, subject, about);

-- Every answer of a box to a command, once. at: by the box's clock. content: the answer as it travelled (MessagePack).
CREATE TABLE command_ack (
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
) STRICT;

-- Every care protocol that the team ever sent or watched by, resolved (TOML): an alert names the one it follows from.
CREATE TABLE care_protocol (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    first_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a named person said came of an alert, the last word. outcome: as its box is told; said: as the desk calls it, ""
-- when it was not said there.
CREATE TABLE alert_outcome (
    alert_id TEXT PRIMARY KEY REFERENCES alert (id),
    outcome TEXT NOT NULL,
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    said TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- The team's record of acts, hash-chained (exchange/audit_chain.py). body is an entry in its canonical encoding; no
-- health data, what may have to be erased only as a tag under a key of audit_subject.
CREATE TABLE audit (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);

CREATE TABLE audit_chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    chain TEXT NOT NULL
) STRICT;

-- Heads that the receipt key signed for (JSON). One outlives the entries that it covers.
CREATE TABLE audit_checkpoint (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- Deleting a row erases what the tags under its key stood for. said: what was last entered of it, to tell a change.
CREATE TABLE audit_subject (
    name TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    said TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- What boxes signed for in their own records of acts; body is the checkpoint (JSON). Contradictions are kept too.
CREATE TABLE audit_witness (
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
) STRICT, WITHOUT ROWID;

-- What a person answers about themselves, judged at the team by protocol_text (resolved, TOML): one row a patient.
-- Proposed by one person and confirmed by another; before that, and once ended, nothing is judged. since: from when on.
-- version counts what people did with the row. every_days: how often a link is due, null when somebody asks; way: how
-- it reaches the person. cursor: the last observation that was judged; snapshot: of the engine after it; due_at: when
-- passing time next tells something; judged_at: when it was last judged; attempts: of judging that did not end.
-- judged_hash: of the protocol that the snapshot is of, '' before any. change_...: other thresholds of one under way, by
-- whom and when they were proposed; '' and null while nobody proposes any.
CREATE TABLE self_report (
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
    attempts INTEGER NOT NULL DEFAULT 0,
    judged_hash TEXT NOT NULL DEFAULT '',
    change_hash TEXT NOT NULL DEFAULT '',
    change_text TEXT NOT NULL DEFAULT '',
    change_by TEXT NOT NULL DEFAULT '',
    change_id INTEGER,
    change_at INTEGER
) STRICT;

-- One row a link. token_hash: SHA-256 of what stands in the link, null before it is made; the link itself is nowhere.
-- One submission: 'open' becomes 'answered' once. 'queued': the relay sends it at next_at.
CREATE TABLE questionnaire_link (
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
) STRICT;
CREATE INDEX questionnaire_link_patient ON questionnaire_link (patient_id, made_at);
CREATE INDEX questionnaire_link_queued ON questionnaire_link (next_at) WHERE state = 'queued';

-- One row: when the worker that judges answers last looked, by the team's clock.
CREATE TABLE self_report_pass (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

-- Who asked for links that do not exist, by network address: kept for an hour.
CREATE TABLE questionnaire_guess (
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT;
CREATE INDEX questionnaire_guess_source ON questionnaire_guess (source, at);

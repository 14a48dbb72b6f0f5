-- A team database as version 15 left it. Made here: readings and one alert of invented patients.
PRAGMA application_id = 1449486700;
PRAGMA user_version = 15;
BEGIN TRANSACTION;
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
INSERT INTO "alert" VALUES('2172e2443d2abf54392ad5fc8831a419',1,1,'box',1,'raised','hypo_level_1',1,'clinical',1763800000000,1763800900000,NULL,0,NULL,'Hypoglycémie (raised)','Hypoglycaemia (raised)','diabetes_cgm',1,'abababababababababababababababababababababababababababababababab','1','[]','nurse',1763800900000,NULL,'{"type":"alert","kind":"raised","alert_id":"2172e2443d2abf54392ad5fc8831a419","patient":"patient-7f3a","rule":"hypo_level_1","priority":"high","category":"clinical","onset":1763800000000,"raised_at":1763800900000,"resolved_at":null,"evidence":[],"fr":"Hypoglycémie (raised)","en":"Hypoglycaemia (raised)","late":false,"supersedes":null,"protocol":"diabetes_cgm","protocol_version":1,"protocol_hash":"abababababababababababababababababababababababababababababababab","engine_version":"1","finding":{}}',0,1763801800000,1763816200000,1,'',NULL,NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "alert" VALUES('0f8374221085812d1b4b46eca6672d1a',NULL,1,'team',1,'raised','to_attribute',2,'technical',1763800000000,1763800000000,NULL,0,NULL,'Le boîtier box-0001 envoie les relevés d''un patient qui ne lui est pas attribué ; ils sont gardés à part ; à vérifier : à qui le boîtier a-t-il été remis, et desk.toml le dit-il ?','Box box-0001 sends records of a patient who is not assigned to it; they are kept apart; to check: who was given the box, and does desk.toml say so?','',0,'','inbox-1','[]','nurse',1763800000000,NULL,'{"type":"alert","kind":"raised","alert_id":"0f8374221085812d1b4b46eca6672d1a","patient":"box-0001","rule":"to_attribute","priority":"medium","category":"technical","onset":1763800000000,"raised_at":1763800000000,"resolved_at":null,"evidence":[],"fr":"Le boîtier box-0001 envoie les relevés d''un patient qui ne lui est pas attribué ; ils sont gardés à part ; à vérifier : à qui le boîtier a-t-il été remis, et desk.toml le dit-il ?","en":"Box box-0001 sends records of a patient who is not assigned to it; they are kept apart; to check: who was given the box, and does desk.toml say so?","late":false,"supersedes":null,"protocol":"","protocol_version":0,"protocol_hash":"","engine_version":"inbox-1","finding":{}}',0,1763828800000,1764001600000,1,'',NULL,NULL,0,NULL,NULL,NULL,NULL);
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
INSERT INTO "alert_event" VALUES(1,'2172e2443d2abf54392ad5fc8831a419',1,'0123456789abcdef0123456789abcdef',3,'raised',1763800000000,1763800000000,'{"type":"alert","kind":"raised","alert_id":"2172e2443d2abf54392ad5fc8831a419","patient":"patient-7f3a","rule":"hypo_level_1","priority":"high","category":"clinical","onset":1763800000000,"raised_at":1763800900000,"resolved_at":null,"evidence":[],"fr":"Hypoglycémie (raised)","en":"Hypoglycaemia (raised)","late":false,"supersedes":null,"protocol":"diabetes_cgm","protocol_version":1,"protocol_hash":"abababababababababababababababababababababababababababababababab","engine_version":"1","finding":{}}');
INSERT INTO "alert_event" VALUES(2,'0f8374221085812d1b4b46eca6672d1a',1,'',0,'raised',1763800000000,1763800000000,'{"type":"alert","kind":"raised","alert_id":"0f8374221085812d1b4b46eca6672d1a","patient":"box-0001","rule":"to_attribute","priority":"medium","category":"technical","onset":1763800000000,"raised_at":1763800000000,"resolved_at":null,"evidence":[],"fr":"Le boîtier box-0001 envoie les relevés d''un patient qui ne lui est pas attribué ; ils sont gardés à part ; à vérifier : à qui le boîtier a-t-il été remis, et desk.toml le dit-il ?","en":"Box box-0001 sends records of a patient who is not assigned to it; they are kept apart; to check: who was given the box, and does desk.toml say so?","late":false,"supersedes":null,"protocol":"","protocol_version":0,"protocol_hash":"","engine_version":"inbox-1","finding":{}}');
CREATE TABLE alert_outcome (
    alert_id TEXT PRIMARY KEY REFERENCES alert (id),
    outcome TEXT NOT NULL,
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    said TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO "audit" VALUES(1,1763800000000,'log_begun','{"act":"log_begun","at":1763800000000,"by":"team","detail":{},"n":1,"ref":"cf9e80fe1065bbc88a03264d132a4ce5"}','d7e5bda1cff483d22bf11c6fab9b57e3f77194c2f6dcf84d26521ed8f52b8bf3');
INSERT INTO "audit" VALUES(2,1763800000000,'box_assigned','{"act":"box_assigned","at":1763800000000,"by":"team","detail":{"patient":"~9354f9008faef54c0ab895248c4a2ee3"},"n":2,"ref":"box-0001"}','5e73430b450961e9645aad336cedf13a8f7909d1fd552b2a2b90753c33f096cf');
CREATE TABLE audit_chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    chain TEXT NOT NULL
) STRICT;
INSERT INTO "audit_chain" VALUES(1,'cf9e80fe1065bbc88a03264d132a4ce5');
CREATE TABLE audit_checkpoint (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE audit_subject (
    name TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    said TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
INSERT INTO "audit_subject" VALUES('patient-7f3a',X'21CC58E40FC710C76E1867DF2DDA80C80478D901B3220BA48539F87EBB4E1912','');
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
INSERT INTO "box" VALUES(1,'box-0001',1763800000000,0,NULL,NULL,NULL,0,1);
INSERT INTO "box" VALUES(2,'box-0002',NULL,NULL,NULL,NULL,NULL,NULL,1);
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
INSERT INTO "box_assignment" VALUES(1,1,1,1761955200000,NULL,0,'settings');
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
CREATE TABLE care_protocol (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    first_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
INSERT INTO "declared_gap" VALUES(1,1,1,2,'0123456789abcdef0123456789abcdef',5,8,1763800000000,1763803600000,4,'evicted',1763800000000,'device','0123456789abcdef0123456789abcdef',9);
CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    name TEXT NOT NULL,
    first_data_at INTEGER NOT NULL,
    last_data_at INTEGER NOT NULL,
    UNIQUE (box_id, name)
) STRICT;
INSERT INTO "device" VALUES(1,1,'C4:B0:00:00:00:01',1763800000000,1763800300000);
CREATE TABLE device_record (
    device_id INTEGER NOT NULL REFERENCES device (id),
    quantity TEXT NOT NULL,
    key TEXT NOT NULL,
    count INTEGER NOT NULL,
    validity TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device_id, key, quantity, count, validity)
) STRICT, WITHOUT ROWID;
INSERT INTO "device_record" VALUES(1,'glucose_interstitial','1763800000000:0',1040,'valid',0);
INSERT INTO "device_record" VALUES(1,'glucose_interstitial','1763800000000:5',1041,'valid',0);
CREATE TABLE device_silence (
    id INTEGER PRIMARY KEY,
    box_id INTEGER NOT NULL REFERENCES box (id),
    device_id INTEGER REFERENCES device (id),
    "from" INTEGER NOT NULL,
    "to" INTEGER,
    cause TEXT NOT NULL
) STRICT;
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
CREATE TABLE enrolment_failure (
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT;
CREATE TABLE erased_patient (
    tag TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
CREATE TABLE inbox_dead_letter_count (
    reason TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;
CREATE TABLE inbox_listening (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    listened INTEGER NOT NULL,
    until INTEGER NOT NULL DEFAULT 0,
    roster INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "inbox_listening" VALUES(1,0,1763800000000,1);
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
INSERT INTO "observation" VALUES(1,1,1,'0123456789abcdef0123456789abcdef',0,1,'glucose_interstitial',1040,'mg/dL','valid',1763800000000,'trusted',1763800000800,1763800000000,'1763800000000:0',0,'device','104','mg/dL',NULL,X'0A0B');
INSERT INTO "observation" VALUES(2,1,1,'0123456789abcdef0123456789abcdef',1,1,'glucose_interstitial',1041,'mg/dL','valid',1763800300000,'trusted',1763800300800,1763800000000,'1763800000000:5',0,'device','104','mg/dL',NULL,X'0A0B');
CREATE TABLE patient (
    id INTEGER PRIMARY KEY,
    pseudonym TEXT NOT NULL UNIQUE,
    time_zone TEXT NOT NULL,
    team_id INTEGER NOT NULL DEFAULT 1,
    followed_by TEXT NOT NULL DEFAULT '',
    begun_at INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER
) STRICT;
INSERT INTO "patient" VALUES(1,'patient-7f3a','Europe/Paris',1,'',0,NULL);
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
INSERT INTO "problem" VALUES('b1/to_attribute',1,NULL,1,'to_attribute','','0f8374221085812d1b4b46eca6672d1a',1763800000000,4,0,0,1763828800000,9007199254740992,NULL,NULL,NULL,'',2,2);
INSERT INTO "problem" VALUES('p1/hypo_level_1',1,1,1,'hypo_level_1','diabetes_cgm','2172e2443d2abf54392ad5fc8831a419',1763800900000,1,0,0,1763801800000,1763801800000,NULL,NULL,NULL,'',1,1);
CREATE TABLE questionnaire_guess (
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT;
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
CREATE TABLE receipt (
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    stage TEXT NOT NULL,
    high INTEGER NOT NULL,
    t INTEGER NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (box_id, epoch, stage)
) STRICT, WITHOUT ROWID;
INSERT INTO "receipt" VALUES(1,'0123456789abcdef0123456789abcdef','stored',9,1763800000000,X'B55CF564828393C784A3626F78A8626F782D30303031A665706F6368739184A565706F6368D9203031323334353637383961626364656630313233343536373839616263646566A672616E67657391920909A46869676809A66F7468657273FFA26174CF0000019AAAAC2600A568656164739194A5407465616DD920636639653830666531303635626263383861303332363464313332613463653502D94035653733343330623435303936316539363435616164333336636564663133613866373930396431666435353262326132623930373533633333663039366366DF626EDAFDBCC09819DB105285D22790011648944FA29B756D08EFE79158A88AC089A8A6FAB0BEC45176EEF59599763E8237DFAFEEFAB0287DC7D392832A1C01');
CREATE TABLE received_range (
    box_id INTEGER NOT NULL REFERENCES box (id),
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first),
    PRIMARY KEY (box_id, epoch, first)
) STRICT, WITHOUT ROWID;
INSERT INTO "received_range" VALUES(1,'0123456789abcdef0123456789abcdef',0,1);
INSERT INTO "received_range" VALUES(1,'0123456789abcdef0123456789abcdef',3,4);
INSERT INTO "received_range" VALUES(1,'0123456789abcdef0123456789abcdef',9,9);
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
CREATE TABLE self_report_pass (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE team (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO "team" VALUES(1,'Équipe de coordination');
CREATE TABLE team_deadline (
    team_id INTEGER NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 4),
    ack_ms INTEGER NOT NULL CHECK (ack_ms > 0),
    act_ms INTEGER NOT NULL CHECK (act_ms > 0),
    PRIMARY KEY (team_id, priority)
) STRICT, WITHOUT ROWID;
CREATE TABLE team_hours (
    team_id INTEGER PRIMARY KEY,
    zone TEXT NOT NULL,
    days TEXT NOT NULL,
    opens INTEGER NOT NULL,
    closes INTEGER NOT NULL CHECK (closes > opens)
) STRICT;
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
INSERT INTO "to_attribute" VALUES(1,'0123456789abcdef0123456789abcdef',4,'patient-21c8','patient',1763800000000,1763800000000,'{"type":"observation","patient":"patient-21c8","quantity":"glucose_interstitial","count":1043,"unit":"mg/dL","validity":"valid","measured_at":1763800900000,"clock":"trusted","received_at":1763800900800,"device":"C4:B0:00:00:00:01","key":"1763800000000:15","quality":0,"source":"device","device_value":"104","device_unit":"mg/dL","device_time":null,"frame":"Cgs="}');
CREATE UNIQUE INDEX device_silence_once ON device_silence (box_id, ifnull(device_id, 0), "from");
CREATE UNIQUE INDEX declared_gap_once ON declared_gap (box_id, epoch, first) WHERE first IS NOT NULL;
CREATE INDEX declared_gap_patient ON declared_gap (patient_id, "from");
CREATE INDEX observation_patient_t ON observation (patient_id, t);
CREATE INDEX alert_open ON alert (patient_id, box_id, rule_id) WHERE state < 2;
CREATE INDEX alert_closed ON alert (team_id, closed_at);
CREATE INDEX alert_patient ON alert (patient_id, raised_at);
CREATE INDEX alert_supersedes ON alert (supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX alert_act_turn ON alert_act (turn);
CREATE INDEX alert_act_at ON alert_act (at);
CREATE INDEX problem_order ON problem (team_id, priority, state, due, raised_at);
CREATE INDEX problem_patient ON problem (patient_id);
CREATE INDEX problem_lapses ON problem (lapses_at);
CREATE UNIQUE INDEX inbox_dead_letter_once ON inbox_dead_letter (sha256, reason, ifnull(box, ''));
CREATE INDEX box_key_public ON box_key (public);
CREATE INDEX box_certificate_box ON box_certificate (box_id, issued_at);
CREATE INDEX enrolment_failure_source ON enrolment_failure (source, at);
CREATE INDEX command_waiting ON command (next_at) WHERE state IN ('queued', 'sent', 'accepted');
CREATE INDEX command_series ON command (box_id, kind, subject, about);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX questionnaire_link_patient ON questionnaire_link (patient_id, made_at);
CREATE INDEX questionnaire_link_queued ON questionnaire_link (next_at) WHERE state = 'queued';
CREATE INDEX questionnaire_guess_source ON questionnaire_guess (source, at);
COMMIT;

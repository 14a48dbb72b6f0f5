"""The tables of what people do with alerts, and of the problems that wait for them.

A *problem* is what the worklist has a row for: the alerts of one rule about one patient, or about one box, that wait
for somebody. It is worked out of those alerts (`WORKED_OUT`) in every transaction that changes one of them, so that a
page of the worklist reads as many rows as it shows, whatever the number of alerts.

Not here: keeping problems as they should be (problems), and the acts themselves (handling, alert_acts).
"""

from typing import Final

NO_DEADLINE: Final = 2**53
"""Stands for no deadline where rows are ordered by it: after every time."""

COLUMNS: Final = (
    "id, team_id, patient_id, box_id, rule_id, protocol, alert_id, raised_at, priority, state, repeats, due, lapses_at,"
    " escalated_at, physician_at, holder_id, holder, stamp, arrived"
)
WORKED_OUT: Final = f"""SELECT CASE WHEN patient_id IS NULL THEN 'b' || box_id ELSE 'p' || patient_id END
        || '/' || rule_id, team_id, patient_id, box_id, rule_id, protocol, id, raised_at, priority, any_state, many - 1,
        due, lapses_at, escalated, physician, holder_row, holder_name, stamp, stamp
    FROM (SELECT id, team_id, patient_id, box_id, rule_id, protocol, raised_at,
        row_number() OVER (same ORDER BY state, raised_at DESC, id DESC) AS place,
        count(*) OVER same AS many,
        min(CASE WHEN category = 'technical' THEN 4 ELSE prio END) OVER same AS priority,
        min(state) OVER same AS any_state,
        min(coalesce(CASE WHEN state = 1 THEN coalesce(recall_at, act_due) ELSE ack_due END, {NO_DEADLINE}))
            OVER same AS due,
        min(coalesce(CASE WHEN state = 1 THEN act_due
            WHEN escalated_at IS NULL AND category <> 'technical' THEN ack_due END, {NO_DEADLINE}))
            OVER same AS lapses_at,
        max(escalated_at) OVER same AS escalated,
        max(physician_at) OVER same AS physician,
        max(holder_id) OVER same AS holder_row,
        max(holder) OVER same AS holder_name,
        (SELECT coalesce(max(alert_event.id), 0) FROM alert_event)
            + (SELECT coalesce(max(alert_act.id), 0) FROM alert_act) AS stamp
        FROM alert
        WHERE state < 2 AND told_at IS NOT NULL AND kind <> 'retracted'
            AND NOT EXISTS (SELECT 1 FROM alert AS later WHERE later.supersedes = alert.id) {{which}}
        WINDOW same AS (PARTITION BY patient_id, CASE WHEN patient_id IS NULL THEN box_id END, rule_id)
    ) AS waiting WHERE place = 1"""  # noqa: S608 - a number of ours
"""What the alerts that wait come to, one row a problem; `which` narrows them."""

PROBLEMS: Final = (
    "ALTER TABLE alert ADD COLUMN recall_at INTEGER",
    "ALTER TABLE alert ADD COLUMN escalated_at INTEGER",
    "ALTER TABLE alert ADD COLUMN physician_at INTEGER",
    "ALTER TABLE alert ADD COLUMN closed_at INTEGER",
    "ALTER TABLE alert_outcome ADD COLUMN said TEXT NOT NULL DEFAULT ''",
    """UPDATE alert SET closed_at =
        coalesce((SELECT at FROM alert_outcome WHERE alert_id = alert.id), raised_at) WHERE state = 2""",
    """CREATE TABLE alert_act (
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
) STRICT""",
    "CREATE INDEX alert_act_turn ON alert_act (turn)",
    "CREATE INDEX alert_act_at ON alert_act (at)",
    """CREATE TABLE problem (
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
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX problem_order ON problem (team_id, priority, state, due, raised_at)",
    "CREATE INDEX problem_patient ON problem (patient_id)",
    "CREATE INDEX problem_lapses ON problem (lapses_at)",
    """CREATE TABLE team_deadline (
    team_id INTEGER NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 4),
    ack_ms INTEGER NOT NULL CHECK (ack_ms > 0),
    act_ms INTEGER NOT NULL CHECK (act_ms > 0),
    PRIMARY KEY (team_id, priority)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE team_hours (
    team_id INTEGER PRIMARY KEY,
    zone TEXT NOT NULL,
    days TEXT NOT NULL,
    opens INTEGER NOT NULL,
    closes INTEGER NOT NULL CHECK (closes > opens)
) STRICT""",
    "DROP INDEX alert_worklist",
    "CREATE INDEX alert_open ON alert (patient_id, box_id, rule_id) WHERE state < 2",
    "CREATE INDEX alert_closed ON alert (team_id, closed_at)",
    f"INSERT INTO problem ({COLUMNS}) {WORKED_OUT.format(which='')}",
)
"""The step that makes them of a database without."""

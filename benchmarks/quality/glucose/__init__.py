"""Glucose recordings: hypoglycaemia seen before it begins, episodes against two references, and what a nurse receives.

The harness owns the clock. A judge is another process that is handed one reading at a time; what it answers is
recorded before the next reading is sent. Labels come from code of their own, and no row is printed whose past changes
when its future does.

    traces      the recordings: people, times, values, cadence
    labels      what happened: low episodes on raw readings, and when a trace is too short to tell
    scorers     reference forecasts, streaming, one reading at a time
    judge       the judge's process: a scorer with thresholds, or the box's own engine with a care protocol
    harness     feeds a judge, records it, and refuses one that looks ahead
    outcomes    events seen, alarms for nothing, lead; intervals over people
    operating   thresholds: chosen on some people, for others
    forecasts   the table of forecasts
    grid        episodes as iglu finds them, written again from its definition
    episodes    the table of episodes against the references
    burden      the table of alerts a patient-day
    rows        a table in plain text, then one JSON line a row
"""

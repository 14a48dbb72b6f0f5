"""Where each number lies in a rule program and in a stream's state: both are flat arrays of int64.

`program` writes programs with these offsets and `kernel` reads them. `LAYOUT` is a checksum of them all: a compiled
kernel kept on disk from before a change carries another one, and refuses.

Program: a header, one row a quantity, one row a rule (in the protocol's order).
State:   a header, one row a quantity, one row a rule, then the rings of the windows.
Times are ms UTC, values are quanta; a value of a "below" or "fall" rule is negated, so that every comparison is
"at least".
"""

import zlib

# Program header
P_LAYOUT, P_QUANTITIES, P_RULES, P_STATE_SIZE = range(4)
P_HEADER = 4

# Program, a quantity
Q_GAP = 0
"""A pending run is broken by a silence longer than this; 0: never."""
Q_WIDTH = 1

# Program, a rule
(
    R_KIND,
    R_COLUMN,
    R_SIGN,
    R_RAISE,
    R_END,
    R_PERSIST,
    R_END_PERSIST,
    R_WINDOW,
    R_COUNT,
    R_RING,
    R_AGE,
) = range(11)
R_WIDTH = 11

KIND_LEVEL, KIND_CHANGE, KIND_MISSING = range(3)

# State header
S_LAYOUT, S_SINCE, S_EVENT_TIME = range(3)
S_HEADER = 3

# State, a quantity
SQ_JUDGED, SQ_LAST = range(2)
SQ_WIDTH = 2

# State, a rule
SR_PHASE, SR_ONSET, SR_FIRST, SR_ENDING = range(4)
"""SR_ENDING is when the end's run began, and once ended when the alert ended."""
SR_WIDTH = 4

IDLE, PENDING, STANDING, ENDING = range(4)

# State, a ring: its head, how many entries it holds, then (time, value, ordinal) each
RING_HEAD, RING_SIZE = range(2)
RING_HEADER = 2
RING_ENTRY = 3

# Output, a row
O_AT, O_RULE, O_RAISED, O_ONSET, O_FIRST, O_LAST = range(6)
O_WIDTH = 6

NEVER = -(2**62)
"""Stands for a time before all times."""

LAYOUT = zlib.crc32(
    repr(
        sorted((name, value) for name, value in globals().items() if name.isupper() and isinstance(value, int))
    ).encode()
)

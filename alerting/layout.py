"""Where each number lies in a rule program and in a stream's state: both are flat arrays of int64.

`program` writes programs with these offsets and the kernel reads them. `LAYOUT` is a checksum of them all: a compiled
kernel kept on disk from before a change carries another one, and refuses.

Program: a header, one row a column, one row a feature, one row a rule (in the protocol's order).
State:   a header, one row a column, one row a feature, one row a rule, then the rings.
A column is the judged readings of one quantity, or how all readings of it were taken (their flags). A feature turns
the readings of a column, or of several, into values; rules with the same feature share it.
Times are ms UTC, values are quanta; limits of a rule whose low values are beyond are negated, and so is the value
before it is compared, so that every comparison is "at least". A float lies as its bits.
"""

import zlib

# Program header
P_LAYOUT, P_COLUMNS, P_FEATURES, P_RULES, P_STATE_SIZE = range(5)
P_HEADER = 5

# Program, a column
Q_GAP, Q_RING, Q_MASK, Q_BLOCK, Q_RULES = range(5)
"""A pending run is broken by a silence longer than Q_GAP, 0: never. Q_MASK: the ring's capacity, a power of two, less
one. Q_BLOCK: how many readings may be judged at once. Q_RULES: a bit for each member of a composite that it feeds."""
Q_WIDTH = 5

# Program, a feature
(
    F_KIND,
    F_INPUTS,
    F_COLUMN,
    F_WINDOW,
    F_COUNT,
    F_MIN,
    F_LAG,
    F_DESPIKE,
    F_RING,
    F_MASK,
    F_BREAK,
    F_A,
    F_B,
    F_C,
    F_D,
    F_E,
    F_F,
    F_G,
    F_H,
) = range(19)
"""F_INPUTS: a bit for each column at whose readings it has a value; F_COLUMN: the one it is filed under. F_RING and
F_MASK: a ring of its own. F_BREAK: a pause longer than this begins a forecast anew. F_A to F_H: as its kind wants."""
F_WIDTH = 19

(
    VALUE,
    RATE,
    LOWEST,
    HIGHEST,
    FIRST,
    MEAN,
    SPC,
    EWMA,
    MACD,
    CUSUM,
    SHARE,
    LINEAR,
    ROBUST_LINEAR,
    AR2,
    HOLT_AR2,
    KALMAN,
    SCHEDULE,
    FLAGS,
    STUCK,
    JUMP,
    COMPRESSION,
    NEWS2,
    HEART_FAILURE,
    OFFSET,
) = range(24)

# Program, a rule
(
    R_KIND,
    R_COLUMN,
    R_FEATURE,
    R_SIGN,
    R_RAISE,
    R_END,
    R_PERSIST,
    R_END_PERSIST,
    R_MEMBER,
    R_AGE,
    R_BY,
    R_DAYS,
    R_OF,
    R_WINDOW,
) = range(14)
"""R_MEMBER: 1 when a composite asks for it. R_BY: minutes after local midnight, -1 by age. R_OF: a bit for each
member."""
R_WIDTH = 14

JUDGED_VALUE, MISSING, COMPOSITE = range(3)

MOST_RULES = 63
"""A member of a composite is a bit of one int64."""
BLOCK = 128
"""Readings judged at once at most."""

# State header
S_LAYOUT, S_SINCE, S_EVENT_TIME = range(3)
S_HEADER = 3

# State, a column
SQ_JUDGED, SQ_LAST = range(2)
SQ_WIDTH = 2

# State, a feature: its own words
SF_OWN = 8
"""What an alert tells besides: how many readings its own ring took, or counted, or which inputs it had."""
SF_WIDTH = 9

# State, a rule
SR_PHASE, SR_ONSET, SR_FIRST, SR_ENDING, SR_VALUE, SR_TRUE_AT, SR_KNOWN_AT = range(7)
"""SR_ENDING is when the end's run began, and once ended when the alert ended. SR_VALUE: its last value."""
SR_WIDTH = 7

IDLE, PENDING, STANDING, ENDING = range(4)

# Two minutes of the day in one word, from * SPAN + to: a day may end at 1440
SPAN = 2048

# State, a ring: (time, value) each, the reading of ordinal n at n & mask
RING_ENTRY = 2

# Output, a row
O_AT, O_RULE, O_RAISED, O_ONSET, O_COLUMN, O_FIRST, O_LAST, O_VALUE, O_OWN = range(9)
"""O_COLUMN and O_LAST: the reading that made it, by column and ordinal; -1 when passing time did. O_FIRST: ordinal of
the run's first reading; for a composite a bit for each unknown member, and O_OWN one for each true member."""
O_WIDTH = 9

NEVER = -(2**62)
"""Stands for a time before all times, and for no value."""

LAYOUT = zlib.crc32(
    repr(
        sorted((name, value) for name, value in globals().items() if name.isupper() and isinstance(value, int))
    ).encode()
)

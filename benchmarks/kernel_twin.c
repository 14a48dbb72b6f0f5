/* The kernel's design in C, for one glucose sensor: what the compiled kernel is measured against (kernel_twin.py).

   `twin` reads the same program and the same state as alerting/kernel, step by step, for the kinds of rules that
   engine_rules.py asks for; so rows and state bytes must be equal. `fused` is a bound and no engine: the twelve rules
   written into the code, a whole trace at once, no state to go on from. layout.h is made from alerting/layout.py. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "layout.h"

typedef int64_t word;

#define MS_A_MINUTE 60000
#define THOUSAND 1000
#define UNIT 65536
#define LONGEST_S 100000000

static inline word least_of(word a, word b) { return a < b ? a : b; }
static inline word most_of(word a, word b) { return a > b ? a : b; }

static inline word put(word *out, word rows, word at, word rule, word raised, word onset, word column, word first,
                       word last, word value, word own) {
    word *row = out + rows * O_WIDTH;
    row[O_AT] = at;
    row[O_RULE] = rule;
    row[O_RAISED] = raised;
    row[O_ONSET] = onset;
    row[O_COLUMN] = column;
    row[O_FIRST] = first;
    row[O_LAST] = last;
    row[O_VALUE] = value;
    row[O_OWN] = own;
    return rows + 1;
}

/* ---- one program for all protocols ---------------------------------------------------------------------------- */

static word first_rule(const word *program) {
    return P_HEADER + program[P_COLUMNS] * Q_WIDTH + program[P_FEATURES] * F_WIDTH;
}

static word first_life(const word *program) {
    return S_HEADER + program[P_COLUMNS] * SQ_WIDTH + program[P_FEATURES] * SF_WIDTH;
}

static word slid(const word *ring, word mask, word head, word oldest, word lowest) {
    head = most_of(head, lowest);
    while (ring[(head & mask) * RING_ENTRY] < oldest) head++;
    return head;
}

static void rate(const word *row, word *own, const word *ring, word mask, word first, word size, const word *times,
                 const word *values, word *column) {
    word window = row[F_WINDOW], count = row[F_COUNT], least = row[F_MIN], head = own[0];
    for (word index = 0; index < size; index++) {
        word at = times[index], ordinal = first + index;
        head = slid(ring, mask, head, at - window, ordinal + 1 - count);
        const word *oldest = ring + (head & mask) * RING_ENTRY;
        word span = at - oldest[0];
        if (ordinal + 1 - head >= least && span > 0 && 2 * span >= window)
            column[index] = (values[index] - oldest[1]) * MS_A_MINUTE * THOUSAND / span;
        else
            column[index] = NEVER;
    }
    own[0] = head;
}

static void lowest(const word *row, word *state, word *own, const word *ring, word mask, word first, word size,
                   const word *times, const word *values, word *column) {
    word window = row[F_WINDOW], count = row[F_COUNT], head = own[0], end = own[1];
    word *queue = state + row[F_B];
    for (word index = 0; index < size; index++) {
        word at = times[index], ordinal = first + index, value = values[index];
        while (end > head && ring[(queue[(end - 1) & mask] & mask) * RING_ENTRY + 1] >= value) end--;
        queue[end & mask] = ordinal;
        end++;
        while (queue[head & mask] < ordinal + 1 - count ||
               ring[(queue[head & mask] & mask) * RING_ENTRY] < at - window)
            head++;
        column[index] = value - ring[(queue[head & mask] & mask) * RING_ENTRY + 1];
    }
    own[0] = head;
    own[1] = end;
}

static void smoothed(const word *row, word *own, word size, const word *times, const word *values, word *column) {
    word tau = row[F_WINDOW] / THOUSAND, least = row[F_MIN], kind = row[F_KIND];
    word sign = row[F_A], allowance = row[F_B] * UNIT;
    word seen = own[0], last = own[1], mean = own[2], total = own[3];
    for (word index = 0; index < size; index++) {
        word at = times[index], value = values[index] * UNIT, found;
        if (seen == 0) mean = value;
        word off = value - mean;
        if (kind == CUSUM) {
            if (seen > 0) total = most_of(0, total + sign * off - allowance);
            found = sign * (total / UNIT);
        } else
            found = off / UNIT;
        if (seen > 0) {
            word seconds = least_of((at - last) / THOUSAND, LONGEST_S);
            mean += off * seconds / (tau + seconds);
        }
        seen++;
        last = at;
        column[index] = seen >= least ? found : NEVER;
    }
    own[0] = seen;
    own[1] = last;
    own[2] = mean;
    own[3] = total;
}

static void least_squares(const word *row, word *own, const word *ring, word mask, word first, word size,
                          const word *times, const word *values, word *column) {
    word window = row[F_WINDOW], count = row[F_COUNT], least = row[F_MIN], horizon = row[F_B], longest = row[F_BREAK];
    word head = own[0], last = own[1], sum_x = own[2], sum_xx = own[3], sum_y = own[4], sum_xy = own[5];
    for (word index = 0; index < size; index++) {
        word at = times[index], ordinal = first + index, value = values[index];
        if (ordinal == head || at - last > longest) {
            head = ordinal;
            sum_x = sum_xx = sum_y = sum_xy = 0;
        }
        word held = ordinal - head, step = held > 0 ? at / THOUSAND - last / THOUSAND : 0;
        while (head < ordinal && (head < ordinal + 1 - count || ring[(head & mask) * RING_ENTRY] < at - window)) {
            word x = ring[(head & mask) * RING_ENTRY] / THOUSAND - last / THOUSAND, y = ring[(head & mask) * RING_ENTRY + 1];
            sum_x -= x;
            sum_xx -= x * x;
            sum_y -= y;
            sum_xy -= x * y;
            head++;
            held--;
        }
        if (held > 0) {
            sum_xx += held * step * step - 2 * step * sum_x;
            sum_xy -= step * sum_y;
            sum_x -= held * step;
        }
        sum_y += value;
        held++;
        last = at;
        word spread = held * sum_xx - sum_x * sum_x;
        if (held >= least && 2 * (at - ring[(head & mask) * RING_ENTRY]) >= window && spread > 0) {
            double slope = (double)(held * sum_xy - sum_x * sum_y) / (double)spread;
            double ahead = (double)sum_y / (double)held +
                           slope * ((double)horizon / THOUSAND - (double)sum_x / (double)held);
            column[index] = (word)floor(ahead + 0.5);
        } else
            column[index] = NEVER;
    }
    own[0] = head;
    own[1] = last;
    own[2] = sum_x;
    own[3] = sum_xx;
    own[4] = sum_y;
    own[5] = sum_xy;
}

static word walk(const word *row, word rule, word *mine, word since, word before, word size, const word *times,
                 const word *values, word gap, word judged_in, word first, word own, word *acts, word member,
                 word *out, word rows) {
    word sign = row[R_SIGN], raises = row[R_RAISE], ends = row[R_END];
    word persist = row[R_PERSIST], end_persist = row[R_END_PERSIST], phase = mine[SR_PHASE], last = before;
    for (word index = 0; index < size; index++) {
        word at = times[index], value = values[index];
        if (gap > 0 && last != NEVER && at - last > gap) {
            if (phase == PENDING)
                phase = IDLE;
            else if (phase == ENDING)
                phase = STANDING;
        }
        last = at;
        if (value == NEVER) continue;
        word x = sign * value;
        if (phase == IDLE || phase == PENDING) {
            if (x < raises || (phase == IDLE && at == mine[SR_ENDING])) {
                phase = IDLE;
                continue;
            }
            if (phase == IDLE) {
                phase = PENDING;
                mine[SR_ONSET] = at;
                mine[SR_FIRST] = first + index;
            }
            if (at - mine[SR_ONSET] >= persist && at >= since) {
                phase = STANDING;
                rows = put(out, rows, at, rule, 1, mine[SR_ONSET], judged_in, mine[SR_FIRST], first + index, value,
                           own);
            }
        } else if (x >= ends)
            phase = STANDING;
        else {
            if (phase == STANDING) {
                phase = ENDING;
                mine[SR_ENDING] = at;
            }
            if (at - mine[SR_ENDING] >= end_persist) {
                phase = IDLE;
                mine[SR_ENDING] = at;
                rows = put(out, rows, at, rule, 0, mine[SR_ONSET], judged_in, first + index, first + index, value,
                           own);
            }
        }
        if (member == 1 && (phase == STANDING || phase == ENDING)) acts[index] |= (word)1 << rule;
    }
    mine[SR_PHASE] = phase;
    return rows;
}

static word judge_feature(const word *program, word feature, word *state, word judged_in, word before, word first,
                          word size, const word *times, const word *column, word *acts, word *knowns, word *out,
                          word rows) {
    word least = -NEVER, greatest = NEVER, last = -1;
    for (word index = 0; index < size; index++) {
        word value = column[index];
        if (value != NEVER) {
            least = least_of(least, value);
            greatest = most_of(greatest, value);
            last = index;
        }
    }
    word gap = program[P_HEADER + judged_in * Q_WIDTH + Q_GAP];
    word own = state[S_HEADER + program[P_COLUMNS] * SQ_WIDTH + feature * SF_WIDTH + SF_OWN];
    const word *row = program + first_rule(program);
    word *mine = state + first_life(program);
    for (word rule = 0; rule < program[P_RULES]; rule++, row += R_WIDTH, mine += SR_WIDTH) {
        if (row[R_KIND] != JUDGED_VALUE || row[R_FEATURE] != feature) continue;
        word member = row[R_MEMBER];
        if (member == 1)
            for (word index = 0; index < size; index++)
                if (column[index] != NEVER) knowns[index] |= (word)1 << rule;
        word highest = row[R_SIGN] > 0 ? greatest : -least, lowest_one = row[R_SIGN] > 0 ? least : -greatest;
        if (mine[SR_PHASE] == STANDING && (last < 0 || lowest_one >= row[R_END])) {
            if (member == 1)
                for (word index = 0; index < size; index++)
                    if (column[index] != NEVER) acts[index] |= (word)1 << rule;
        } else if (!(mine[SR_PHASE] == IDLE && (last < 0 || highest < row[R_RAISE])))
            rows = walk(row, rule, mine, state[S_SINCE], before, size, times, column, gap, judged_in, first, own, acts,
                        member, out, rows);
        if (last >= 0) mine[SR_VALUE] = column[last];
    }
    return rows;
}

static word compose(const word *program, word rule, word *state, word at, word judged_in, word ordinal, word *out,
                    word rows) {
    const word *begin = program + first_rule(program), *row = begin + rule * R_WIDTH;
    word *life = state + first_life(program), *mine = life + rule * SR_WIDTH;
    word oldest = at - row[R_WINDOW], true_ones = 0, unknown_ones = 0, trues = 0, unknowns = 0;
    for (word member = 0; member < program[P_RULES]; member++) {
        if ((row[R_OF] >> member & 1) == 0) continue;
        word *its = life + member * SR_WIDTH;
        int true_one, known = 1;
        if (begin[member * R_WIDTH + R_KIND] == MISSING)
            true_one = its[SR_PHASE] == STANDING;
        else {
            true_one = its[SR_TRUE_AT] >= oldest;
            known = true_one || its[SR_KNOWN_AT] >= oldest;
        }
        if (true_one) {
            trues++;
            true_ones |= (word)1 << member;
        } else if (!known) {
            unknowns++;
            unknown_ones |= (word)1 << member;
        }
    }
    word needed = row[R_RAISE];
    if (mine[SR_PHASE] == IDLE) {
        if (trues >= needed && at >= state[S_SINCE] && at != mine[SR_ENDING]) {
            mine[SR_PHASE] = STANDING;
            mine[SR_ONSET] = at;
            mine[SR_VALUE] = trues;
            return put(out, rows, at, rule, 1, at, judged_in, unknown_ones, ordinal, trues, true_ones);
        }
    } else if (trues + unknowns < needed) {
        mine[SR_PHASE] = IDLE;
        mine[SR_ENDING] = at;
        mine[SR_VALUE] = trues;
        return put(out, rows, at, rule, 0, mine[SR_ONSET], judged_in, unknown_ones, ordinal, trues, true_ones);
    }
    return rows;
}

static int may_matter(const word *program, word rule, const word *state, word begin, word acted) {
    const word *row = program + first_rule(program) + rule * R_WIDTH, *life = state + first_life(program);
    word possible = 0;
    if (life[rule * SR_WIDTH + SR_PHASE] != IDLE) return 1;
    for (word member = 0; member < program[P_RULES]; member++)
        if ((row[R_OF] >> member & 1) &&
            ((acted >> member & 1) || life[member * SR_WIDTH + SR_TRUE_AT] >= begin - row[R_WINDOW]))
            possible++;
    return possible >= row[R_RAISE];
}

static word last_with(const word *bits, word size, word member) {
    for (word index = size - 1; index >= 0; index--)
        if (bits[index] >> member & 1) return index;
    return -1;
}

static word judge_composites(const word *program, word *state, word judged_in, word first, word looked_at, word size,
                             const word *times, const word *acts, const word *knowns, word *out, word rows) {
    const word *begin = program + first_rule(program);
    word *life = state + first_life(program), rules = program[P_RULES], acted = 0;
    int matters = size == 1;
    for (word index = 0; index < size; index++) acted |= acts[index];
    for (word rule = 0; rule < rules; rule++) {
        const word *row = begin + rule * R_WIDTH;
        if (row[R_KIND] == COMPOSITE && (row[R_OF] & looked_at) && !matters)
            matters = may_matter(program, rule, state, times[0], acted);
    }
    for (word index = 0; index < (matters ? size : 0); index++) {
        for (word member = 0; member < rules; member++)
            if (knowns[index] >> member & 1) {
                life[member * SR_WIDTH + SR_KNOWN_AT] = times[index];
                if (acts[index] >> member & 1) life[member * SR_WIDTH + SR_TRUE_AT] = times[index];
            }
        for (word rule = 0; rule < rules; rule++) {
            const word *row = begin + rule * R_WIDTH;
            if (row[R_KIND] == COMPOSITE && (row[R_OF] & looked_at))
                rows = compose(program, rule, state, times[index], judged_in, first + index, out, rows);
        }
    }
    for (word member = 0; member < (matters ? 0 : rules); member++)
        if (looked_at >> member & 1) {
            word last = last_with(knowns, size, member);
            if (last >= 0) life[member * SR_WIDTH + SR_KNOWN_AT] = times[last];
            last = (acted >> member & 1) ? last_with(acts, size, member) : -1;
            if (last >= 0) life[member * SR_WIDTH + SR_TRUE_AT] = times[last];
        }
    return rows;
}

static word pass_deadlines(const word *program, word *state, word now, word but, word *out, word rows) {
    const word *begin = program + first_rule(program);
    word *life = state + first_life(program);
    for (;;) {
        word found = -1, earliest = now;
        for (word rule = 0; rule < program[P_RULES]; rule++) {
            const word *row = begin + rule * R_WIDTH;
            if (row[R_KIND] == MISSING && row[R_COLUMN] != but && life[rule * SR_WIDTH + SR_PHASE] == IDLE) {
                word last = state[S_HEADER + row[R_COLUMN] * SQ_WIDTH + SQ_LAST];
                word deadline = most_of(last, state[S_SINCE]) + row[R_AGE];
                if (deadline < earliest) found = rule, earliest = deadline;
            }
        }
        if (found < 0) return rows;
        word *mine = life + found * SR_WIDTH;
        mine[SR_PHASE] = STANDING;
        mine[SR_ONSET] = earliest;
        word last = state[S_HEADER + begin[found * R_WIDTH + R_COLUMN] * SQ_WIDTH + SQ_JUDGED] - 1;
        rows = put(out, rows, earliest, found, 1, earliest, -1, last, last, NEVER, 0);
        for (word rule = 0; rule < program[P_RULES]; rule++) {
            const word *row = begin + rule * R_WIDTH;
            if (row[R_KIND] == COMPOSITE && (row[R_OF] >> found & 1))
                rows = compose(program, rule, state, earliest, -1, -1, out, rows);
        }
    }
}

static word end_absence(const word *program, word *state, word judged_in, word first, word size, const word *times,
                        word *out, word rows) {
    const word *row = program + first_rule(program);
    word *mine = state + first_life(program);
    for (word rule = 0; rule < program[P_RULES]; rule++, row += R_WIDTH, mine += SR_WIDTH) {
        if (row[R_KIND] != MISSING || row[R_COLUMN] != judged_in) continue;
        for (word index = 0; index < size; index++) {
            if (index > 0) {
                word deadline = most_of(times[index - 1], state[S_SINCE]) + row[R_AGE];
                if (deadline < times[index]) {
                    word last = first + index - 1;
                    mine[SR_PHASE] = STANDING;
                    mine[SR_ONSET] = deadline;
                    rows = put(out, rows, deadline, rule, 1, deadline, -1, last, last, NEVER, 0);
                }
            }
            if (mine[SR_PHASE] == STANDING) {
                mine[SR_PHASE] = IDLE;
                rows = put(out, rows, times[index], rule, 0, mine[SR_ONSET], judged_in, first + index, first + index,
                           NEVER, 0);
            }
        }
    }
    return rows;
}

static word judge_block(const word *program, word *state, word judged_in, word size, const word *times,
                        const word *values, word *out, word rows) {
    word column[BLOCK], acts[BLOCK], knowns[BLOCK];
    word *seen = state + S_HEADER + judged_in * SQ_WIDTH;
    const word *facts = program + P_HEADER + judged_in * Q_WIDTH;
    word *ring = state + facts[Q_RING], mask = facts[Q_MASK], first = seen[SQ_JUDGED], before = seen[SQ_LAST];
    for (word index = 0; index < size; index++) {
        word *entry = ring + ((first + index) & mask) * RING_ENTRY;
        entry[0] = times[index];
        entry[1] = values[index];
    }
    seen[SQ_JUDGED] = first + size;
    seen[SQ_LAST] = times[size - 1];
    memset(acts, 0, size * sizeof(word));
    memset(knowns, 0, size * sizeof(word));
    const word *row = program + P_HEADER + program[P_COLUMNS] * Q_WIDTH;
    word *own = state + S_HEADER + program[P_COLUMNS] * SQ_WIDTH;
    for (word feature = 0; feature < program[P_FEATURES]; feature++, row += F_WIDTH, own += SF_WIDTH) {
        if ((row[F_INPUTS] >> judged_in & 1) == 0) continue;
        const word *found = column;
        if (row[F_KIND] == VALUE)
            found = values;
        else if (row[F_KIND] == RATE)
            rate(row, own, ring, mask, first, size, times, values, column);
        else if (row[F_KIND] == LOWEST)
            lowest(row, state, own, ring, mask, first, size, times, values, column);
        else if (row[F_KIND] == LINEAR)
            least_squares(row, own, ring, mask, first, size, times, values, column);
        else
            smoothed(row, own, size, times, values, column);
        rows = judge_feature(program, feature, state, judged_in, before, first, size, times, found, acts, knowns, out,
                             rows);
    }
    rows = end_absence(program, state, judged_in, first, size, times, out, rows);
    if (facts[Q_RULES] != 0)
        rows = judge_composites(program, state, judged_in, first, facts[Q_RULES], size, times, acts, knowns, out,
                                rows);
    return rows;
}

/* Return how many rows were written; *done tells how many readings were judged, fewer than total when out is full. */
word twin(const word *program, word *state, const word *times, const word *columns, const word *values, word total,
          word *out, word room, word *done) {
    word rows = 0, begin = 0, rules = program[P_RULES];
    while (begin < total) {
        word judged_in = columns[begin], size = 1;
        word most = least_of(program[P_HEADER + judged_in * Q_WIDTH + Q_BLOCK], total - begin);
        while (size < most && columns[begin + size] == judged_in) size++;
        if (rows + (2 * size + 2) * rules > room) {
            if (rows > 0) break;
            size = most_of(1, room / (2 * rules) - 1);
        }
        word last = times[begin + size - 1];
        rows = pass_deadlines(program, state, times[begin], -1, out, rows);
        rows = judge_block(program, state, judged_in, size, times + begin, values + begin, out, rows);
        if (size > 1) rows = pass_deadlines(program, state, last, judged_in, out, rows);
        state[S_EVENT_TIME] = most_of(state[S_EVENT_TIME], last);
        begin += size;
    }
    *done = begin;
    return rows;
}
/* ---- the twelve rules in the code ------------------------------------------------------------------------------- */

typedef struct {
    word phase, onset, first, ending;
} life;

#define SIDE(value, sign) ((sign) * (value))
#define MINUTES(n) ((n) * (word)MS_A_MINUTE)
#define GAP MINUTES(45)

/* A block of one rule; the constants are known where it is inlined. Acts: 1 where it stands, NULL when nobody asks. */
static inline __attribute__((always_inline)) word take(life *one, word rule, word sign, word raises, word ends,
                                                       word persist, word end_persist, const word *times, word begin,
                                                       word size, const word *column, word least, word greatest,
                                                       unsigned char *acts, word *out, word rows) {
    word highest = sign > 0 ? greatest : -least, low = sign > 0 ? least : -greatest;
    if (one->phase == IDLE && highest < raises) return rows;
    if (one->phase == STANDING && low >= ends) {
        if (acts)
            for (word index = 0; index < size; index++) acts[index] = column[index] != NEVER;
        return rows;
    }
    life now = *one;
    for (word index = 0; index < size; index++) {
        word at = times[begin + index], value = column[index];
        if (begin + index > 0 && at - times[begin + index - 1] > GAP) {
            if (now.phase == PENDING)
                now.phase = IDLE;
            else if (now.phase == ENDING)
                now.phase = STANDING;
        }
        if (value == NEVER) continue;
        word x = SIDE(value, sign);
        if (now.phase == IDLE || now.phase == PENDING) {
            if (x < raises) {
                now.phase = IDLE;
                continue;
            }
            if (now.phase == IDLE) {
                now.phase = PENDING;
                now.onset = at;
                now.first = begin + index;
            }
            if (at - now.onset >= persist) {
                now.phase = STANDING;
                rows = put(out, rows, at, rule, 1, now.onset, 0, now.first, begin + index, value, 0);
            }
        } else if (x >= ends)
            now.phase = STANDING;
        else {
            if (now.phase == STANDING) {
                now.phase = ENDING;
                now.ending = at;
            }
            if (at - now.ending >= end_persist) {
                now.phase = IDLE;
                rows = put(out, rows, at, rule, 0, now.onset, 0, begin + index, begin + index, value, 0);
            }
        }
        if (acts) acts[index] = now.phase == STANDING || now.phase == ENDING;
    }
    *one = now;
    return rows;
}

static inline void range_of(const word *column, word size, word *least, word *greatest) {
    word low = -NEVER, high = NEVER;
    for (word index = 0; index < size; index++) {
        high = most_of(high, column[index]);
        low = least_of(low, column[index] == NEVER ? -NEVER : column[index]);
    }
    *least = low;
    *greatest = high;
}

/* Judge one whole trace by the protocol of engine_rules.twelve(); history is the trace itself. */
word fused(const word *times, const word *values, word total, word *out) {
    static word queue[2048];
    const word tau = 3 * 86400, day = MINUTES(1440);
    life one[12];
    unsigned char high[BLOCK], rising[BLOCK], known[BLOCK];
    word column[BLOCK], sums[BLOCK], least, greatest, rows = 0;
    word head = 0, line = 0, queue_head = 0, queue_end = 0, mean = 0, sum = 0;
    word x1 = 0, x2 = 0, y1 = 0, xy = 0, high_at = NEVER, rising_at = NEVER, known_at = NEVER, both = 0, both_since = 0;
    memset(one, 0, sizeof one);
    for (word begin = 0; begin < total; begin += BLOCK) {
        word size = least_of(BLOCK, total - begin);
        const word *now = values + begin;
        memset(high, 0, sizeof high);
        memset(rising, 0, sizeof rising);
        range_of(now, size, &least, &greatest);
        rows = take(one + 0, 0, 1, 2500, 2400, 0, 0, times, begin, size, now, least, greatest, NULL, out, rows);
        rows = take(one + 1, 1, -1, -700, -750, 450000, 150000, times, begin, size, now, least, greatest, NULL, out,
                    rows);
        rows = take(one + 2, 2, -1, -540, -600, 0, 0, times, begin, size, now, least, greatest, NULL, out, rows);
        rows = take(one + 3, 3, 1, 1800, 1700, 3150000, 450000, times, begin, size, now, least, greatest, high, out,
                    rows);
        for (word index = 0; index < size; index++) {
            word last = begin + index, at = times[last];
            while (times[head] < at - MINUTES(15)) head++;
            word span = at - times[head];
            column[index] = last + 1 - head >= 3 && 2 * span >= MINUTES(15)
                                ? (now[index] - values[head]) * MS_A_MINUTE * THOUSAND / span
                                : NEVER;
            known[index] = column[index] != NEVER;
        }
        range_of(column, size, &least, &greatest);
        rows = take(one + 4, 4, 1, 20000, 15000, 0, 0, times, begin, size, column, least, greatest, rising, out, rows);
        rows = take(one + 5, 5, -1, 20000, 15000, 0, 0, times, begin, size, column, least, greatest, NULL, out, rows);
        for (word index = 0; index < size; index++) {
            word last = begin + index, at = times[last], value = now[index];
            word between = last > 0 ? at - times[last - 1] : 0, held = last - line;
            word step = last > 0 ? at / THOUSAND - times[last - 1] / THOUSAND : 0;
            if (held == 0 || between > MINUTES(20)) {
                line = last;
                held = x1 = x2 = y1 = xy = 0;
            }
            while (line < last && times[line] < at - MINUTES(30)) {
                word x = times[line] / THOUSAND - times[last - 1] / THOUSAND, y = values[line];
                x1 -= x;
                x2 -= x * x;
                y1 -= y;
                xy -= x * y;
                line++;
                held--;
            }
            x2 += held * step * step - 2 * step * x1;
            xy -= step * y1;
            x1 -= held * step;
            y1 += value;
            held++;
            word spread = held * x2 - x1 * x1;
            column[index] = NEVER;
            if (held >= 3 && 2 * (at - times[line]) >= MINUTES(30) && spread > 0) {
                double slope = (double)(held * xy - x1 * y1) / (double)spread;
                double ahead = (double)y1 / (double)held + slope * (1200.0 - (double)x1 / (double)held);
                column[index] = (word)floor(ahead + 0.5);
            }
        }
        range_of(column, size, &least, &greatest);
        rows = take(one + 6, 6, -1, -700, -800, 0, 0, times, begin, size, column, least, greatest, NULL, out, rows);
        for (word index = 0; index < size; index++) {
            word last = begin + index, value = now[index];
            while (queue_end > queue_head && values[queue[(queue_end - 1) & 2047]] >= value) queue_end--;
            queue[queue_end++ & 2047] = last;
            while (times[queue[queue_head & 2047]] < times[last] - day) queue_head++;
            column[index] = value - values[queue[queue_head & 2047]];
        }
        range_of(column, size, &least, &greatest);
        rows = take(one + 7, 7, 1, 2000, 1500, 0, 0, times, begin, size, column, least, greatest, NULL, out, rows);
        for (word index = 0; index < size; index++) {
            word last = begin + index, value = now[index] * UNIT;
            if (last == 0) mean = value;
            word off = value - mean;
            if (last > 0) {
                word seconds = least_of((times[last] - times[last - 1]) / THOUSAND, LONGEST_S);
                sum = most_of(0, sum + off - 250 * UNIT);
                mean += off * seconds / (tau + seconds);
            }
            column[index] = last >= 11 ? off / UNIT : NEVER;
            sums[index] = last >= 11 ? sum / UNIT : NEVER;
        }
        range_of(column, size, &least, &greatest);
        rows = take(one + 8, 8, 1, 900, 600, 0, 0, times, begin, size, column, least, greatest, NULL, out, rows);
        range_of(sums, size, &least, &greatest);
        rows = take(one + 9, 9, 1, 9000, 3000, 0, 0, times, begin, size, sums, least, greatest, NULL, out, rows);
        for (word index = 0; index < size; index++) {
            word last = begin + index, at = times[last];
            if (last > 0 && at - times[last - 1] > MINUTES(30)) {
                word due = times[last - 1] + MINUTES(30);
                rows = put(out, rows, due, 10, 1, due, -1, last - 1, last - 1, NEVER, 0);
                rows = put(out, rows, at, 10, 0, due, 0, last, last, NEVER, 0);
            }
            if (high[index]) high_at = at;
            if (rising[index]) rising_at = at;
            if (known[index]) known_at = at;
            word trues = (high_at >= at - MINUTES(5)) + (rising_at >= at - MINUTES(5));
            word unknowns = known_at < at - MINUTES(5);
            if (!both && trues == 2) {
                both = 1;
                both_since = at;
                rows = put(out, rows, at, 11, 1, at, 0, 0, last, 2, 0);
            } else if (both && trues + unknowns < 2) {
                both = 0;
                rows = put(out, rows, at, 11, 0, both_since, 0, 0, last, trues, 0);
            }
        }
    }
    return rows;
}

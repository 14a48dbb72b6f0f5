"""Heart failure on a simulated cohort: what can be seen before an admission, and at what cost.

No public cohort has daily home readings before decompensations, so the people here are simulated, and every row says
so. How hard they are is not ours to choose: `acceptance` holds them against published figures first, and nothing is
scored on people who fail.

    parameters   what the simulation assumes, and where each number comes from
    cohort       the simulated people: admissions first, then what came before them
    anchors      what studies measured on real people, measured the same way on simulated ones
    acceptance   the 23 ranges; a cohort within all of them may be scored
    windows      causal sums, medians and averages over (patients, days)
    detectors    scores a day, none of which looks ahead
    learned      the two that scikit-learn fits
    outcomes     events seen, alerts for nothing, lead, with intervals
    engine_rows  the same people judged by the box's own engine
    table        the rows
"""

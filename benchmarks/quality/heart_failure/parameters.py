"""What the simulation assumes: every number with where it comes from.

`assumed` means that nobody published it: it was set once, so that the acceptance test passes, and the scenarios say
how much the tables depend on it. The mixture of courses before an admission is the most influential of these.
Rates are per patient-year, weights in kg, heart rates in /min, pressures in mm[Hg], saturations in %, times in days.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

ASSUMED = "assumed"
ZHANG = "Zhang 2009, Eur J Heart Fail 11:420 (TEN-HMS)"
CHAUDHRY = "Chaudhry 2007, Circulation 116:1549"
LEDWIDGE = "Ledwidge 2013, Eur J Heart Fail 15:447"
GYLLENSTEN = "Gyllensten 2016, JMIR Med Inform 4:e3, and the same group's abstract in Eur J Heart Fail"
FAST = "Abraham 2011, Congest Heart Fail 17:51 (FAST)"
HEARTCYCLE = "HeartCycle telemonitoring study"
BEAT_HF = "Ong 2016, JAMA Intern Med 176:310 (BEAT-HF)"


def _of(value: object, source: str = ASSUMED) -> Any:  # noqa: ANN401 - as dataclasses.field, of which it is a shorthand
    return field(default=value, metadata={"source": source})


def _to_pass(anchor: str) -> str:
    return f"assumed, to come out as {anchor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """One kind of simulated people. Pairs are (lowest, highest) of a uniform draw."""

    # Admissions: who, and how often.
    admission_rate: float = _of(0.38, "assumed, to come out at 0.3-0.6 a patient-year, as telemonitored cohorts")
    frailty_shape: float = _of(0.8)
    """Of the gamma by which patients differ; smaller puts more admissions on fewer people."""
    enrolled_at_discharge: float = _of(0.6)
    early_excess: float = _of(2.0)
    """Added hazard on the day of discharge, in multiples of the patient's own."""
    early_excess_days: float = _of(30.0)
    stay: tuple[float, float] = _of((4, 12))

    # What comes before: shares of slow gain, fast gain, congestion without gain, and nothing at all.
    slow: float = _of(0.24, _to_pass(f"{CHAUDHRY}; {ZHANG}"))
    fast: float = _of(0.16, _to_pass(f"{LEDWIDGE}; {GYLLENSTEN}"))
    without_gain: float = _of(0.31, _to_pass(GYLLENSTEN))
    abrupt: float = _of(0.29, _to_pass(GYLLENSTEN))
    slow_days: tuple[float, float] = _of((12, 35), CHAUDHRY)
    fast_days: tuple[float, float] = _of((3, 10), LEDWIDGE)
    without_gain_days: tuple[float, float] = _of((4, 16))
    slow_gain: float = _of(3.9, _to_pass(ZHANG))
    fast_gain: float = _of(3.3, _to_pass(ZHANG))
    gain_spread: float = _of(0.6, _to_pass(ZHANG))
    """Standard deviation of the logarithm of a gain."""
    slow_curve: float = _of(1.8, _to_pass(CHAUDHRY))
    """Exponent of the rise: above 1, most of it comes late."""
    fast_curve: float = _of(1.0)
    congestion_curve: float = _of(1.5)
    congestion_heart_rate: float = _of(7.5)
    congestion_spo2: float = _of(-1.9)
    congestion_systolic: float = _of(11.0)
    """Standard deviation: pressure rises in some and falls in others."""
    congestion_spread: float = _of(0.6)
    congestion_with_gain: float = _of(0.6)
    congestion_days_with_gain: int = _of(10)
    silent_signal: float = _of(0.35)
    """Chance that a signal shows nothing of one congestion."""
    infection_before: float = _of(0.20)
    """Share of the admissions without gain that an infection leads to."""

    # What looks like it and is not.
    turned_gain_rate: float = _of(1.2, _to_pass(FAST))
    turned_gain: float = _of(1.8, _to_pass(FAST))
    turned_congestion: float = _of(0.5)
    overdiuresis_rate: float = _of(0.4)
    overdiuresis: float = _of(1.4)
    overdiuresis_systolic: float = _of(-5.0)
    infection_rate: float = _of(0.9)
    infection_heart_rate: float = _of(9.0)
    infection_spo2: float = _of(-1.6)
    infection_systolic: float = _of(-6.0)
    infection_weight: float = _of(-0.7)
    drug_change_rate: float = _of(0.35)
    drug_heart_rate: float = _of(6.0)
    drug_systolic: float = _of(9.0)
    second_person: float = _of(0.10)
    """Share of homes where somebody else uses the scale."""
    second_person_days: float = _of(0.006)
    second_person_weight: tuple[float, float] = _of((5.0, 25.0))
    """How much heavier or lighter the other one is."""

    # Weight.
    weight_mean: float = _of(82.0)
    weight_spread: float = _of(16.0)
    weight_noise: float = _of(0.36, _to_pass(ZHANG))
    weight_noise_memory: float = _of(0.35)
    weight_noise_between: float = _of(0.30)
    clothes: float = _of(0.05)
    clothes_weight: tuple[float, float] = _of((0.3, 1.3))
    evening: float = _of(0.05)
    evening_weight: tuple[float, float] = _of((0.3, 1.2))
    weight_wander: float = _of(0.34, _to_pass(ZHANG))
    weight_wander_memory: float = _of(0.88)
    weight_walk: float = _of(0.085, _to_pass(LEDWIDGE))
    weight_trend: float = _of(1.6, _to_pass(LEDWIDGE))
    weight_season: float = _of(0.4)
    loss_after_discharge: float = _of(1.1, f"assumed; that there is one: {LEDWIDGE}")
    loss_after_discharge_days: float = _of(8.0)
    weight_step_after_stay: tuple[float, float] = _of((-0.3, 0.7))
    """Mean and standard deviation of the new dry weight; so the other steps after a stay."""
    scale_step: float = _of(0.1)

    # Heart rate, systolic pressure, saturation.
    heart_rate_level: tuple[float, float] = _of((71.0, 8.0))
    systolic_level: tuple[float, float] = _of((124.0, 14.0))
    spo2_level: tuple[float, float] = _of((96.0, 1.2))
    """Mean and standard deviation between patients."""
    heart_rate_step_after_stay: tuple[float, float] = _of((-1.0, 2.5))
    systolic_step_after_stay: tuple[float, float] = _of((-2.0, 5.0))
    heart_rate_noise: float = _of(4.5)
    heart_rate_memory: float = _of(0.45)
    heart_rate_slow: float = _of(3.0)
    fibrillation: float = _of(0.30)
    fibrillation_noise: float = _of(1.6)
    systolic_noise: float = _of(9.0)
    systolic_memory: float = _of(0.30)
    systolic_slow: float = _of(5.0)
    systolic_season: float = _of(3.0)
    spo2_noise: float = _of(1.1)
    spo2_memory: float = _of(0.25)
    spo2_slow: float = _of(0.5)
    cold_finger: float = _of(0.01)
    cold_finger_spo2: tuple[float, float] = _of((3.0, 10.0))

    # Days without a reading.
    adherence: float = _of(2.25, f"assumed, to come out between 76 % ({FAST}) and 90 % ({HEARTCYCLE})")
    """Logit of a reading on an ordinary day; the other adherence figures are added to it."""
    adherence_between: float = _of(0.95, _to_pass(HEARTCYCLE))
    holiday_rate: float = _of(1.2)
    holiday: tuple[float, float] = _of((4, 16))
    weekend: float = _of(-0.25)
    before_admission: float = _of(-1.1, _to_pass(BEAT_HF))
    before_admission_days: int = _of(7)
    during_infection: float = _of(-0.7)
    heart_rate_missing: float = _of(0.03)
    systolic_missing: float = _of(0.03)
    spo2_missing: float = _of(0.08)

    @property
    def courses(self) -> tuple[float, float, float, float]:
        """The shares of slow, fast, without gain and abrupt, which sum to 1."""
        total = self.slow + self.fast + self.without_gain + self.abrupt
        return (self.slow / total, self.fast / total, self.without_gain / total, self.abrupt / total)


SHIPPED = Parameters()

TEXTBOOK = replace(
    SHIPPED,
    slow=1.0,
    fast=0.0,
    without_gain=0.0,
    abrupt=0.0,
    silent_signal=0.0,
    congestion_with_gain=1.0,
    turned_gain_rate=0.0,
    overdiuresis_rate=0.0,
    infection_rate=0.0,
    drug_change_rate=0.0,
    second_person=0.0,
    before_admission=0.0,
)
"""Everybody gains slowly, and nothing else looks like it: what makes any rule look good."""

UNRELATED = replace(
    SHIPPED, slow=0.0, fast=0.0, without_gain=0.0, abrupt=1.0, infection_before=0.0, before_admission=0.0
)
"""The null: nothing that is measured has anything to do with admissions."""

SCENARIOS = {
    "more abrupt": replace(SHIPPED, slow=0.17, fast=0.11, without_gain=0.22, abrupt=0.50),
    "weak coupling": replace(
        SHIPPED,
        slow_gain=SHIPPED.slow_gain * 0.7,
        fast_gain=SHIPPED.fast_gain * 0.7,
        congestion_heart_rate=SHIPPED.congestion_heart_rate * 0.5,
        congestion_spo2=SHIPPED.congestion_spo2 * 0.5,
        congestion_systolic=SHIPPED.congestion_systolic * 0.5,
    ),
    "confounders doubled": replace(
        SHIPPED,
        turned_gain_rate=SHIPPED.turned_gain_rate * 2,
        overdiuresis_rate=SHIPPED.overdiuresis_rate * 2,
        infection_rate=SHIPPED.infection_rate * 2,
        drug_change_rate=SHIPPED.drug_change_rate * 2,
        second_person=SHIPPED.second_person * 2,
    ),
    "noisy scale": replace(SHIPPED, weight_noise=SHIPPED.weight_noise * 1.35, clothes=0.1, scale_step=0.2),
}
"""What if it were otherwise: each leaves some of the published ranges, and says which share of the 23 it keeps."""


def sources() -> dict[str, str]:
    """Return where each parameter comes from."""
    return {one.name: str(one.metadata["source"]) for one in fields(Parameters)}

"""Protocol files for tests: a head, the absences that must be told, and one rule of every form."""

from collections.abc import Mapping
from importlib import resources

from alerting.care_protocol import CareProtocol, Rule
from alerting.errors import Fault
from alerting.protocol_file import Packs, check_protocol, read_protocol

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

HEAD = """
schema = 1
name = "mine"
version = 1
title = { fr = "Le mien", en = "Mine" }

[transmission]
not_transmitted_after = "6 h"

[quantities.glucose_interstitial]
cadence = "5 min"
gap = "45 min"

[sources]
paper = "A paper"
"""

WORDS = """priority = "low"
audience = "nurse"
title = { fr = "Titre", en = "Title" }
check = { fr = "voir", en = "look" }
sources = ["paper"]
"""

QUANTITIES = (
    "glucose_interstitial",
    "body_weight",
    "blood_pressure_systolic",
    "spo2",
    "pulse_rate",
    "body_temperature",
)

CGM = 'quantity = "glucose_interstitial"\n'
WEIGHT = 'quantity = "body_weight"\n'

FORMS = {
    "level": CGM
    + 'kind = "level"\nside = "below"\nthreshold = "70 mg/dL"\nend_threshold = "75 mg/dL"\npersist = "15 min"',
    "rate": CGM
    + 'kind = "rate"\ndirection = "fall"\nper_minute = "3 mg/dL"\nend_per_minute = "2 mg/dL"\nwindow = "15 min"',
    "forecast": CGM
    + 'kind = "forecast"\nmodel = "linear"\nside = "below"\nthreshold = "55 mg/dL"\nend_threshold = "70 mg/dL"\n'
    'horizon = "20 min"\nwindow = "20 min"',
    "forecast_robust": CGM
    + 'kind = "forecast"\nmodel = "robust_linear"\nside = "below"\nthreshold = "55 mg/dL"\nend_threshold = "70 mg/dL"\n'
    'horizon = "20 min"\nwindow = "30 min"\nmin_readings = 4',
    "forecast_ar2": CGM
    + 'kind = "forecast"\nmodel = "ar2"\nside = "below"\nthreshold = "55 mg/dL"\nend_threshold = "70 mg/dL"\n'
    'horizon = "30 min"',
    "forecast_holt": CGM
    + 'kind = "forecast"\nmodel = "holt_ar2"\nside = "below"\nthreshold = "69 mg/dL"\nend_threshold = "75 mg/dL"\n'
    'horizon = "20 min"',
    "forecast_kalman": 'quantity = "glucose_capillary"\n'
    'kind = "forecast"\nmodel = "kalman"\nside = "below"\nthreshold = "70 mg/dL"\nhorizon = "20 min"\n'
    'probability = "53 %"\nend_probability = "36.5 %"',
    "change": WEIGHT
    + 'kind = "change"\ndirection = "rise"\ndelta = "2.0 kg"\nend_delta = "1.0 kg"\nwindow = "3 days"\nslack = "12 h"',
    "change_relative": WEIGHT
    + 'kind = "change"\ndirection = "fall"\ndelta = "5 %"\nend_delta = "4 %"\nwindow = "30 days"\nstatistic = "first"',
    "baseline": WEIGHT
    + 'kind = "baseline"\nstatistic = "mean"\ndirection = "rise"\ndelta = "2.0 kg"\nend_delta = "1.0 kg"\n'
    'window = "28 days"\nlag = "1 day"\nmin_readings = 7\ndespike = "4.5 kg"',
    "baseline_ewma": WEIGHT
    + 'kind = "baseline"\nstatistic = "ewma"\ndirection = "rise"\ndelta = "2.0 kg"\nend_delta = "1.0 kg"\n'
    'window = "14 days"\nmin_readings = 7',
    "baseline_dry": WEIGHT
    + 'kind = "baseline"\nstatistic = "dry_weight"\ndirection = "rise"\ndelta = "2.0 kg"\nend_delta = "1.0 kg"\n'
    'reference = "71.2 kg"',
    "baseline_spc": WEIGHT
    + 'kind = "baseline"\nstatistic = "spc"\ndirection = "rise"\ndelta = "3 SD"\nend_delta = "2.5 ET"\n'
    'window = "35 days"\nlag = "5 days"\nmin_readings = 8\nexpected_sd = "0.60 kg"\nexpected_readings = 20\n'
    'min_sd = "0.30 kg"',
    "baseline_macd": WEIGHT
    + 'kind = "baseline"\nstatistic = "macd"\ndirection = "rise"\ndelta = "0.99 kg"\nend_delta = "0.5 kg"\n'
    "short = 3\nlong = 14\nmin_readings = 14",
    "baseline_cusum": WEIGHT
    + 'kind = "baseline"\nstatistic = "cusum"\ndirection = "fall"\ndelta = "4 kg"\nend_delta = "1 kg"\n'
    'window = "14 days"\nallowance = "0.5 kg"\nmin_readings = 7',
    "share": CGM
    + 'kind = "share"\nside = "above"\nthreshold = "250 mg/dL"\nshare = "75 %"\nend_share = "50 %"\nwindow = "2 h"\n'
    "min_readings = 18",
    "mean": 'quantity = "blood_pressure_systolic"\n'
    'kind = "mean"\nside = "at_least"\nthreshold = "135 mmHg"\nend_threshold = "135 mm[Hg]"\ndays = 7\n'
    'occasions = [["05:00", "11:00"], ["17:00", "23:00"]]\nper_occasion = 2\ndrop_first = true\nmin_readings = 12',
    "missing": WEIGHT + 'kind = "missing"\nexpected = "1 day"\ngrace = "12 h"',
    "missing_by": WEIGHT + 'kind = "missing"\nby = "11:00"\non = ["mon", "wed", "fri"]\ngrace = "2 h"',
    "quality": 'quantity = "blood_pressure_systolic"\n'
    'kind = "quality"\nconcern = "flags"\nflags = ["cuff_too_loose", "body_movement"]\ntimes = 3\nwindow = "7 days"',
    "quality_stuck": CGM + 'kind = "quality"\nconcern = "stuck"\nwindow = "1 h"',
    "quality_jump": WEIGHT + 'kind = "quality"\nconcern = "jump"\ndelta = "5 kg"\nwindow = "2 days"',
    "quality_compression": CGM
    + 'kind = "quality"\nconcern = "compression_low"\nper_minute = "5 mg/dL"\nwindow = "30 min"\n'
    'night = ["23:00", "06:30"]',
    "score": 'quantity = "spo2"\n'
    'kind = "score"\nscore = "news2"\nof = ["spo2", "blood_pressure_systolic", "pulse_rate", "body_temperature"]\n'
    'threshold = "5 points"\nend_threshold = "4 points"\nfreshness = "12 h"\nscale = 2\noxygen = true\nsingle = false',
    "score_heart": WEIGHT + 'kind = "score"\nscore = "heart_failure"\nof = ["body_weight", "pulse_rate", "spo2"]\n'
    'threshold = "5.65 points"\nend_threshold = "2.5 points"\nfreshness = "36 h"',
    "composite": WEIGHT
    + 'kind = "composite"\nof = ["change", "baseline", "baseline_macd"]\nat_least = 2\nwindow = "3 days"',
}
"""Name -> what tells this rule from another: one of every form."""


def table(name: str, text: str) -> str:
    """Return a rule with its id and words."""
    return f'\n[[rules]]\nid = "{name}"\n{text}\n{WORDS}'


def absence(quantity: str) -> str:
    """Return the rule that tells when a quantity is missing."""
    return table(f"no_{quantity}", f'quantity = "{quantity}"\nkind = "missing"\nexpected = "2 days"\n')


def file(*rules: str, head: str = HEAD) -> str:
    """Return a file with rules and the absences of every quantity they speak of."""
    body = "".join(rules)
    return head + body + "".join(absence(one) for one in (*QUANTITIES, "glucose_capillary") if f'"{one}"' in body)


def only_form(name: str) -> str:
    """Return a file with one rule of a form, and the rules it speaks of."""
    with_members = ("change", "baseline", "baseline_macd", name) if name == "composite" else (name,)
    head = HEAD
    if name == "forecast_kalman":
        head = HEAD.replace(
            "[sources]", '[quantities.glucose_capillary]\ncadence = "15 min"\ngap = "45 min"\n\n[sources]'
        )
    return file(*(table(one, FORMS[one]) for one in with_members), head=head)


def rule(text: str, name: str) -> Rule:
    """Return the rule of that id."""
    return next(one for one in read(text).rules if one.id == name)


def read(text: str, **packs: str) -> CareProtocol:
    """Return what a file means, `packs` being those that there are."""
    return read_protocol(text.encode(), name_hint="mine.toml", packs=shelf(packs))


def faults(text: str, **packs: str) -> tuple[Fault, ...]:
    """Return what is wrong with a file, `packs` being those that there are."""
    return check_protocol(text.encode(), packs=shelf(packs)).faults


def shelf(packs: Mapping[str, str]) -> Packs:
    """Return what finds one of these packs."""
    return lambda name: packs[name].encode()


def shipped(name: str) -> bytes:
    """Return the bytes of a protocol that ships."""
    try:
        return (resources.files("configs") / "protocols" / f"{name}.toml").read_bytes()
    except FileNotFoundError as error:
        raise LookupError(name) from error


def packaged(name: str) -> CareProtocol:
    """Return a protocol that ships."""
    return read_protocol(shipped(name), name_hint=name, packs=shipped)

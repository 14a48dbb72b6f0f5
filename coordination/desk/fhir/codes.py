"""What each quantity is called outside: MDC (ISO/IEEE 11073-10101), LOINC, UCUM, and HL7's profile of vital signs.

MDC codes are of partition 2, so 2 * 65536 + the term's number in the standard. LOINC codes are those that the R4 vital
signs profiles fix, or the usual ones of the quantity; where none fits exactly none is given, never a near one.
The units are those of `devices.reading`: a test holds that they are the profile's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from alerting.quantity_words import NAMES
from coordination.desk.fhir.words import LOINC, MDC, QUANTITY, Resource, coding, concept
from devices.reading import Quantity

PROFILE: Final = "http://hl7.org/fhir/StructureDefinition/"
_PARTITION_2: Final = 2 * 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A quantity's names outside.

    Attributes:
        mdc: number of the term in partition 2, None without one.
        mdc_name: its reference identifier.
        loinc: codes with their names, the one that a profile fixes first.
        profile: HL7's profile of vital signs, "" for what is none.
    """

    mdc: int | None
    mdc_name: str = ""
    loinc: tuple[tuple[str, str], ...] = ()
    profile: str = ""

    @property
    def codings(self) -> list[Resource]:
        """The codings of it. Their order says nothing; the one that a profile fixes stands first, for who reads one."""
        mdc = [] if self.mdc is None else [coding(MDC, str(_PARTITION_2 + self.mdc), self.mdc_name)]
        return [*(coding(LOINC, code, name) for code, name in self.loinc), *mdc]


_HEART_RATE = ("8867-4", "Heart rate")
PANEL: Final = Term(
    mdc=18948,
    mdc_name="MDC_PRESS_BLD_NONINV",
    loinc=(("85354-9", "Blood pressure panel with all children optional"),),
    profile="bp",
)
"""Systolic, diastolic and mean of one measurement, as components."""
TERMS: Final[Mapping[Quantity, Term]] = MappingProxyType(
    {
        Quantity.GLUCOSE_INTERSTITIAL: Term(
            mdc=29140,
            mdc_name="MDC_CONC_GLU_ISF",
            loinc=(("99504-3", "Glucose [Mass/volume] in Interstitial fluid"),),
        ),
        # Whole blood or plasma is the meter's secret: the general term says no more than is known.
        Quantity.GLUCOSE_CAPILLARY: Term(
            mdc=28948,
            mdc_name="MDC_CONC_GLU_GEN",
            loinc=(("41653-7", "Glucose [Mass/volume] in Capillary blood by Glucometer"),),
        ),
        Quantity.BLOOD_PRESSURE_SYSTOLIC: Term(
            mdc=18949, mdc_name="MDC_PRESS_BLD_NONINV_SYS", loinc=(("8480-6", "Systolic blood pressure"),)
        ),
        Quantity.BLOOD_PRESSURE_DIASTOLIC: Term(
            mdc=18950, mdc_name="MDC_PRESS_BLD_NONINV_DIA", loinc=(("8462-4", "Diastolic blood pressure"),)
        ),
        Quantity.BLOOD_PRESSURE_MEAN: Term(
            mdc=18951, mdc_name="MDC_PRESS_BLD_NONINV_MEAN", loinc=(("8478-0", "Mean blood pressure"),)
        ),
        Quantity.PULSE_RATE: Term(mdc=18442, mdc_name="MDC_PULS_RATE", loinc=(_HEART_RATE,), profile="heartrate"),
        Quantity.HEART_RATE: Term(mdc=16770, mdc_name="MDC_ECG_HEART_RATE", loinc=(_HEART_RATE,), profile="heartrate"),
        Quantity.SPO2: Term(
            mdc=19384,
            mdc_name="MDC_PULS_OXIM_SAT_O2",
            loinc=(
                ("2708-6", "Oxygen saturation in Arterial blood"),
                ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
            ),
            profile="oxygensat",
        ),
        Quantity.PERFUSION_INDEX: Term(
            mdc=19416,
            mdc_name="MDC_PULS_OXIM_PERF_REL",
            loinc=(("61006-3", "Perfusion index Tissue by Pulse oximetry"),),
        ),
        Quantity.BODY_TEMPERATURE: Term(
            mdc=19292, mdc_name="MDC_TEMP_BODY", loinc=(("8310-5", "Body temperature"),), profile="bodytemp"
        ),
        Quantity.BODY_WEIGHT: Term(
            mdc=57664, mdc_name="MDC_MASS_BODY_ACTUAL", loinc=(("29463-7", "Body weight"),), profile="bodyweight"
        ),
        Quantity.BMI: Term(
            mdc=57680,
            mdc_name="MDC_RATIO_MASS_BODY_LEN_SQ",
            loinc=(("39156-5", "Body mass index (BMI) [Ratio]"),),
            profile="bmi",
        ),
        Quantity.BODY_FAT: Term(
            mdc=57676, mdc_name="MDC_BODY_FAT", loinc=(("41982-0", "Percentage of body fat Measured"),)
        ),
        Quantity.MUSCLE_MASS: Term(
            mdc=57704, mdc_name="MDC_MASS_BODY_MUSCLE", loinc=(("73964-9", "Body muscle mass"),)
        ),
        Quantity.BODY_WATER_MASS: Term(mdc=57692, mdc_name="MDC_BODY_WATER"),
        Quantity.RESPIRATORY_RATE: Term(
            mdc=20490, mdc_name="MDC_RESP_RATE", loinc=(("9279-1", "Respiratory rate"),), profile="resprate"
        ),
    }
)
SURVEY: Final = "symptom_"
"""Begins the name of what a person answered about themselves; no device measured it."""
PRESSURES: Final = (
    Quantity.BLOOD_PRESSURE_SYSTOLIC,
    Quantity.BLOOD_PRESSURE_DIASTOLIC,
    Quantity.BLOOD_PRESSURE_MEAN,
)
"""What one panel holds, in its order."""
_GLUCOSE: Final = frozenset({Quantity.GLUCOSE_INTERSTITIAL, Quantity.GLUCOSE_CAPILLARY})
_UNKNOWN: Final = Term(mdc=None)


def term(quantity: Quantity) -> Term:
    """Return the names of a quantity; one that nobody named yet has none outside."""
    return TERMS.get(quantity, _UNKNOWN)


@cache
def code_of(quantity: Quantity) -> Resource:
    """Return the CodeableConcept of a quantity; nobody changes it."""
    name = NAMES.get(quantity)
    return concept(
        *term(quantity).codings, coding(QUANTITY, quantity.value), text=quantity.value if name is None else name.fr
    )


def category_of(quantity: Quantity) -> str:
    """Return the code of HL7's category of observations that a quantity is of."""
    if quantity in PRESSURES or term(quantity).profile:
        return "vital-signs"
    if quantity in _GLUCOSE:
        return "laboratory"
    return "survey" if quantity.value.startswith(SURVEY) else "exam"


def panel_code() -> Resource:
    """Return the CodeableConcept of a blood pressure with its components."""
    return concept(*PANEL.codings, coding(QUANTITY, "blood_pressure"), text="pression artérielle")


def quantities_of(system: str | None, code: str | None) -> set[str]:
    """Return the quantities that a token (system|code) names; "blood_pressure" stands for the panel.

    None stands for any system, or any code.
    """
    named = {quantity.value: code_of(quantity) for quantity in Quantity if quantity not in PRESSURES}
    named["blood_pressure"] = panel_code()
    return {name for name, one in named.items() if _has(one, system, code)}


def components_of(system: str | None, code: str | None) -> set[str]:
    """Return the components of a panel that a token names."""
    return {quantity.value for quantity in PRESSURES if _has(code_of(quantity), system, code)}


def _has(one: Resource, system: str | None, code: str | None) -> bool:
    return any(
        (system is None or known["system"] == system) and (code is None or known["code"] == code)
        for known in one["coding"]
    )

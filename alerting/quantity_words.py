"""What a nurse calls a quantity, its readings and what made one doubtful, in French and English."""

from alerting.alert import Sentence
from devices.reading import SYMPTOMS, Quality, Quantity

NAMES: dict[Quantity, Sentence] = {
    Quantity.GLUCOSE_INTERSTITIAL: Sentence(fr="glucose interstitiel", en="interstitial glucose"),
    Quantity.GLUCOSE_CAPILLARY: Sentence(fr="glycémie capillaire", en="capillary glucose"),
    Quantity.BLOOD_PRESSURE_SYSTOLIC: Sentence(fr="pression systolique", en="systolic pressure"),
    Quantity.BLOOD_PRESSURE_DIASTOLIC: Sentence(fr="pression diastolique", en="diastolic pressure"),
    Quantity.BLOOD_PRESSURE_MEAN: Sentence(fr="pression moyenne", en="mean pressure"),
    Quantity.PULSE_RATE: Sentence(fr="pouls", en="pulse"),
    Quantity.HEART_RATE: Sentence(fr="fréquence cardiaque", en="heart rate"),
    Quantity.SPO2: Sentence(fr="saturation", en="saturation"),
    Quantity.PERFUSION_INDEX: Sentence(fr="index de perfusion", en="perfusion index"),
    Quantity.BODY_TEMPERATURE: Sentence(fr="température", en="temperature"),
    Quantity.BODY_WEIGHT: Sentence(fr="poids", en="weight"),
    Quantity.BMI: Sentence(fr="IMC", en="BMI"),
    Quantity.BODY_FAT: Sentence(fr="masse grasse", en="body fat"),
    Quantity.MUSCLE_MASS: Sentence(fr="masse musculaire", en="muscle mass"),
    Quantity.BODY_WATER_MASS: Sentence(fr="eau corporelle", en="body water"),
    Quantity.RESPIRATORY_RATE: Sentence(fr="fréquence respiratoire", en="respiratory rate"),
    Quantity.SYMPTOM_DYSPNOEA: Sentence(fr="essoufflement", en="breathlessness"),
    Quantity.SYMPTOM_ORTHOPNOEA: Sentence(fr="gêne pour respirer couché", en="breathlessness lying down"),
    Quantity.SYMPTOM_OEDEMA: Sentence(fr="gonflement des jambes", en="swelling of the legs"),
    Quantity.SYMPTOM_FATIGUE: Sentence(fr="fatigue", en="tiredness"),
    Quantity.SYMPTOM_PAIN: Sentence(fr="douleur", en="pain"),
    Quantity.SYMPTOM_MOOD: Sentence(fr="humeur (PHQ-2)", en="mood (PHQ-2)"),
    Quantity.SYMPTOM_SLEEP: Sentence(fr="troubles du sommeil", en="trouble sleeping"),
    Quantity.SYMPTOM_URGE: Sentence(
        fr="idées de mort ou envie de se faire du mal", en="thoughts of death or self-harm"
    ),
    Quantity.SYMPTOM_FEVER_SIGNS: Sentence(fr="signes de fièvre", en="signs of fever"),
    Quantity.SYMPTOM_NAUSEA: Sentence(fr="nausées ou vomissements", en="nausea or vomiting"),
    Quantity.SYMPTOM_APPETITE: Sentence(fr="perte d'appétit", en="loss of appetite"),
}

FLAGS: dict[Quality, Sentence] = {
    Quality.BODY_MOVEMENT: Sentence(fr="mouvement pendant la mesure", en="movement during the measurement"),
    Quality.CUFF_TOO_LOOSE: Sentence(fr="brassard trop lâche", en="cuff too loose"),
    Quality.IRREGULAR_PULSE: Sentence(fr="pouls irrégulier", en="irregular pulse"),
    Quality.PULSE_OUT_OF_RANGE: Sentence(fr="pouls hors de portée de l'appareil", en="pulse out of range"),
    Quality.IMPROPER_POSITION: Sentence(fr="mauvaise position", en="wrong position"),
    Quality.BATTERY_LOW: Sentence(fr="pile faible", en="low battery"),
    Quality.REPEATED_HOUR: Sentence(fr="heure de l'appareil ambiguë", en="ambiguous hour on the device"),
    Quality.SENSOR_FAULT: Sentence(fr="défaut du capteur", en="sensor fault"),
    Quality.CALIBRATION_RECOMMENDED: Sentence(fr="étalonnage conseillé", en="calibration recommended"),
    Quality.IMPLAUSIBLE: Sentence(fr="valeur impossible", en="impossible value"),
    Quality.SESSION_STOPPED: Sentence(fr="capteur arrêté ou expiré", en="sensor stopped or expired"),
    Quality.CONTROL_SOLUTION: Sentence(fr="solution de contrôle", en="control solution"),
    Quality.FASTING: Sentence(fr="à jeun", en="fasting"),
    Quality.BEFORE_MEAL: Sentence(fr="avant un repas", en="before a meal"),
    Quality.AFTER_MEAL: Sentence(fr="après un repas", en="after a meal"),
    Quality.POOR_SIGNAL: Sentence(fr="signal faible", en="poor signal"),
    Quality.STILL_MEASURING: Sentence(fr="mesure pas encore stabilisée", en="measurement not yet settled"),
    Quality.STRIP_FAULT: Sentence(fr="bandelette ou goutte à refaire", en="strip or drop to be redone"),
    Quality.WARMING_UP: Sentence(fr="capteur en chauffe", en="sensor warming up"),
}

_READINGS: dict[Quantity, tuple[Sentence, Sentence]] = {
    Quantity.BODY_WEIGHT: (Sentence(fr="pesée", en="weighing"), Sentence(fr="pesées", en="weighings")),
    **dict.fromkeys(SYMPTOMS, (Sentence(fr="réponse", en="answer"), Sentence(fr="réponses", en="answers"))),
}
_READING = (Sentence(fr="mesure", en="reading"), Sentence(fr="mesures", en="readings"))


def reading_noun(quantity: Quantity, many: int) -> Sentence:
    """Return what `many` readings of a quantity are called, agreeing in number in each language."""
    one, more = _READINGS.get(quantity, _READING)
    return Sentence(fr=one.fr if abs(many) < 2 else more.fr, en=one.en if many == 1 else more.en)

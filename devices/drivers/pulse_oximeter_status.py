"""What a pulse oximeter says about its own measurement, and what that means for the value.

- Invalid, unavailable, of nobody, or of a sensor that is broken or not on the finger: INVALID.
- Being calibrated: CALIBRATING.
- Estimated early, still settling, or of a signal that the oximeter itself doubts: QUESTIONABLE.
- Low perfusion alone is noted and changes nothing: oximeters measure on weak pulses, and a patient who gets worse has
  them.

"Validated", "fully qualified" and "from storage" say nothing against a value. "Ongoing" does for a spot-check, which
is meant to have ended, and not for continuous values.

Source: Pulse Oximeter Service 1.0.1; bits in the GATT Specification Supplement.
"""

from enum import IntFlag
from typing import Final

from devices.reading import Quality, Validity


class MeasurementStatus(IntFlag):
    """How far the measurement has come; bits 0 to 4 are reserved and dropped."""

    NONE = 0
    ONGOING = 1 << 5
    EARLY_ESTIMATE = 1 << 6
    VALIDATED = 1 << 7
    FULLY_QUALIFIED = 1 << 8
    FROM_STORAGE = 1 << 9
    DEMONSTRATION = 1 << 10
    TESTING = 1 << 11
    CALIBRATION_ONGOING = 1 << 12
    UNAVAILABLE = 1 << 13
    QUESTIONABLE = 1 << 14
    INVALID = 1 << 15


class SensorStatus(IntFlag):
    """How the oximeter, its sensor and the signal are; bits 16 to 23 are reserved and dropped."""

    NONE = 0
    EXTENDED_DISPLAY_UPDATE = 1 << 0
    EQUIPMENT_MALFUNCTION = 1 << 1
    PROCESSING_IRREGULARITY = 1 << 2
    INADEQUATE_SIGNAL = 1 << 3
    POOR_SIGNAL = 1 << 4
    LOW_PERFUSION = 1 << 5
    ERRATIC_SIGNAL = 1 << 6
    NONPULSATILE_SIGNAL = 1 << 7
    QUESTIONABLE_PULSE = 1 << 8
    SIGNAL_ANALYSIS_ONGOING = 1 << 9
    SENSOR_INTERFERENCE = 1 << 10
    SENSOR_UNCONNECTED_TO_USER = 1 << 11
    UNKNOWN_SENSOR = 1 << 12
    SENSOR_DISPLACED = 1 << 13
    SENSOR_MALFUNCTION = 1 << 14
    SENSOR_DISCONNECTED = 1 << 15


_Remark = tuple[Validity, Quality]

_OF_MEASUREMENT: Final[dict[MeasurementStatus, _Remark]] = {
    MeasurementStatus.EARLY_ESTIMATE: (Validity.QUESTIONABLE, Quality.STILL_MEASURING),
    MeasurementStatus.DEMONSTRATION: (Validity.INVALID, Quality.NONE),
    MeasurementStatus.TESTING: (Validity.INVALID, Quality.NONE),
    MeasurementStatus.CALIBRATION_ONGOING: (Validity.CALIBRATING, Quality.NONE),
    MeasurementStatus.UNAVAILABLE: (Validity.INVALID, Quality.NONE),
    MeasurementStatus.QUESTIONABLE: (Validity.QUESTIONABLE, Quality.NONE),
    MeasurementStatus.INVALID: (Validity.INVALID, Quality.NONE),
}

_OF_SENSOR: Final[dict[SensorStatus, _Remark]] = {
    # The display is held while the signal is bad, so the number is older than it seems.
    SensorStatus.EXTENDED_DISPLAY_UPDATE: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.EQUIPMENT_MALFUNCTION: (Validity.INVALID, Quality.SENSOR_FAULT),
    SensorStatus.PROCESSING_IRREGULARITY: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.INADEQUATE_SIGNAL: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.POOR_SIGNAL: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.LOW_PERFUSION: (Validity.VALID, Quality.POOR_SIGNAL),
    SensorStatus.ERRATIC_SIGNAL: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.NONPULSATILE_SIGNAL: (Validity.INVALID, Quality.POOR_SIGNAL),
    SensorStatus.QUESTIONABLE_PULSE: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.SIGNAL_ANALYSIS_ONGOING: (Validity.QUESTIONABLE, Quality.STILL_MEASURING),
    SensorStatus.SENSOR_INTERFERENCE: (Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
    SensorStatus.SENSOR_UNCONNECTED_TO_USER: (Validity.INVALID, Quality.POOR_SIGNAL),
    SensorStatus.UNKNOWN_SENSOR: (Validity.QUESTIONABLE, Quality.SENSOR_FAULT),
    SensorStatus.SENSOR_DISPLACED: (Validity.INVALID, Quality.IMPROPER_POSITION),
    SensorStatus.SENSOR_MALFUNCTION: (Validity.INVALID, Quality.SENSOR_FAULT),
    SensorStatus.SENSOR_DISCONNECTED: (Validity.INVALID, Quality.SENSOR_FAULT),
}

_GRAVEST_FIRST: Final = (Validity.INVALID, Validity.CALIBRATING, Validity.QUESTIONABLE)


def remarks_of(
    measurement: MeasurementStatus | None, sensor: SensorStatus | None, *, ended: bool
) -> tuple[Validity, Quality]:
    """Return what the two statuses mean for a value: the gravest doubt, and every fact.

    Args:
        measurement: None when it was not sent.
        sensor: None when it was not sent.
        ended: whether a measurement of this kind is sent when it has ended.
    """
    remarks = [remark for flag, remark in _OF_MEASUREMENT.items() if measurement is not None and flag in measurement]
    remarks += [remark for flag, remark in _OF_SENSOR.items() if sensor is not None and flag in sensor]
    if ended and measurement is not None and MeasurementStatus.ONGOING in measurement:
        remarks.append((Validity.QUESTIONABLE, Quality.STILL_MEASURING))
    quality = Quality.NONE
    for _, fact in remarks:
        quality |= fact
    doubts = {validity for validity, _ in remarks}
    return next((validity for validity in _GRAVEST_FIRST if validity in doubts), Validity.VALID), quality

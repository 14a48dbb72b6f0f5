"""What the glucose services name alike: the fluid that was tested, and where it was taken.

A meter says both with each result, a CGM once in its feature and with each calibration: two nibbles of one octet, the
fluid in the lower one. Reserved numbers are kept as numbers.

Sources: Glucose Service 1.0.1; Continuous Glucose Monitoring Service 1.0.2; field values in the GATT Specification
Supplement.
"""

from enum import IntEnum


class Fluid(IntEnum):
    """What was tested (type field)."""

    CAPILLARY_WHOLE_BLOOD = 1
    CAPILLARY_PLASMA = 2
    VENOUS_WHOLE_BLOOD = 3
    VENOUS_PLASMA = 4
    ARTERIAL_WHOLE_BLOOD = 5
    ARTERIAL_PLASMA = 6
    UNDETERMINED_WHOLE_BLOOD = 7
    UNDETERMINED_PLASMA = 8
    INTERSTITIAL_FLUID = 9
    CONTROL_SOLUTION = 10


class SampleLocation(IntEnum):
    """Where it was taken (sample location field)."""

    FINGER = 1
    ALTERNATE_SITE = 2
    EARLOBE = 3
    CONTROL_SOLUTION = 4
    SUBCUTANEOUS_TISSUE = 5
    """Said by a CGM only; reserved for a meter."""
    NOT_AVAILABLE = 15


def named(kind: type[IntEnum], number: int) -> int:
    """Return the member with this number, or the number itself when it is reserved."""
    try:
        return kind(number)
    except ValueError:
        return number


def fluid_and_location(octet: int) -> tuple[int, int]:
    """Return the two nibbles of the type and sample location octet."""
    return named(Fluid, octet & 0x0F), named(SampleLocation, octet >> 4)


def octet_of(fluid: int, location: int) -> int:
    """Return the type and sample location octet.

    Raises:
        OverflowError: one of them is not 0 to 15.
    """
    if not (0 <= fluid <= 15 and 0 <= location <= 15):
        raise OverflowError(f"fluid {fluid} and sample location {location} do not fit four bits each")
    return location << 4 | fluid

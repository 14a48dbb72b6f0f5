"""One file a GATT service or vendor protocol: decode and encode on the same page.

`DRIVERS` is the list of what the house can read. Exactly one driver claims a device, in whatever order they
stand: two that claim the same one are a fault of the house, and the device is refused.
"""

from devices.driver import AnyDriver, BroadcastDriver, Driver
from devices.drivers.blood_pressure import BloodPressureDriver
from devices.drivers.body_composition import BodyCompositionDriver
from devices.drivers.cgm import CgmDriver
from devices.drivers.glucose_meter import GlucoseMeterDriver
from devices.drivers.heart_rate import HeartRateDriver
from devices.drivers.pulse_oximeter import PulseOximeterDriver
from devices.drivers.thermometer import ThermometerDriver
from devices.drivers.weight_scale import WeightScaleDriver
from devices.drivers.xiaomi_scale import XiaomiScaleDriver
from devices.errors import DriverError
from devices.quirks import quirk_of
from devices.radio import Advertisement

DRIVERS: tuple[Driver, ...] = (
    CgmDriver(),
    BloodPressureDriver(),
    WeightScaleDriver(),
    GlucoseMeterDriver(),
    BodyCompositionDriver(),
    PulseOximeterDriver(),
    ThermometerDriver(),
    HeartRateDriver(),
)
"""Those that read over a link."""

BROADCASTS: tuple[BroadcastDriver, ...] = (XiaomiScaleDriver(),)
"""Those that read advertisements."""

ALL: tuple[AnyDriver, ...] = (*DRIVERS, *BROADCASTS)


def driver_for(advertisement: Advertisement) -> AnyDriver:
    """Return the driver that reads the advertised device.

    Raises:
        DriverError: none does, more than one claims it, or it is known to speak another protocol than it says.
    """
    quirk = quirk_of(advertisement)
    if quirk is not None and quirk.refused is not None:
        raise DriverError(f"{advertisement.address} {quirk.refused.en}")
    claiming = [driver for driver in ALL if driver.claims(advertisement)]
    if len(claiming) == 1:
        return claiming[0]
    if not claiming:
        raise DriverError(f"no driver reads {advertisement.address}")
    names = " and ".join(driver.name for driver in claiming)
    raise DriverError(f"{advertisement.address} is claimed by {names}; say which one reads it")


def driver_named(name: str) -> Driver:
    """Return the driver with this name that reads over a link, such as "blood_pressure".

    Raises:
        DriverError: there is none.
    """
    for driver in DRIVERS:
        if driver.name == name:
            return driver
    known = ", ".join(driver.name for driver in DRIVERS)
    raise DriverError(f"no driver is called {name!r}; there are {known}")

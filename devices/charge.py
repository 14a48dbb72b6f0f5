"""What a session knows of its device, handed to each visit."""

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from devices.about import About
from devices.consent import Consents
from devices.course import Course
from devices.driver import Driver, Resume
from devices.echo import Echoes


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a session knows of its device, from one visit to the next.

    Attributes:
        device: stable identity.
        driver: what reads it.
        zone: the patient's time zone.
        resume: answers which record is the newest in the store.
        course: how far its stored records have been followed.
        about: what it was asked about itself.
        echoes: its newest records.
        consents: what lets the box read its users' results.
    """

    device: str
    driver: Driver
    zone: ZoneInfo
    resume: Callable[[], Resume]
    course: Course
    about: About
    echoes: Echoes
    consents: Consents

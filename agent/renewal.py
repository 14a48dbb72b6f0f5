"""The box's certificate, renewed at a third of its life while the box runs.

- A third, so that two months of failing tries cut no box off. Tries are spread: a fleet that was enrolled in one week
  does not come back in one hour.
- The new certificate is checked, takes the old one's place in one step, and the link is made anew with it.
- Failing for days is told as a technical alert, and once more when the end comes near: both travel while the box still
  may, and end with the first renewal that succeeds.
- A certificate that has ended cannot be renewed: the team's nurse looks again (`veilleur enrol`), and until then the
  box goes on measuring, judging and keeping.

Times are real ones. Not here: what is said to the office (`enrolling`).
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from agent.enrolling import renew
from agent.enrolment_errors import EnrolmentFailedError
from agent.logs import EVENT, REASON
from agent.obeying import Done, Order, applied, refused
from agent.settings import BrokerSettings, EnrolmentSettings
from alerting.alert import Sentence
from devices.source import DeviceEventKind
from exchange.certificates import Certificate
from exchange.durable_file import write_durably
from exchange.errors import IdentityError
from exchange.identity import SigningKey

logger = logging.getLogger(__name__)

LOOK_S = 3_600.0
FIRST_PAUSE_S = 600.0
LONGEST_PAUSE_S = 21_600.0
LATE_PART = 12
"""Of its life, that a certificate may be overdue before it is told."""
ENDING_PART = 6
"""Of its life, that is left when it is told with high priority."""


def lateness(certificate: Certificate, *, now_ms: int) -> tuple[DeviceEventKind, ...]:
    """Return what there is to tell of a certificate whose renewal has just failed, at `now_ms` (ms UTC, inclusive).

    Of 90 days: late from the 38th on, a week after it was due; ending from the 75th on, and after its end.
    """
    life = certificate.not_after - certificate.not_before
    found = []
    if now_ms >= certificate.renew_at + life // LATE_PART:
        found.append(DeviceEventKind.CERTIFICATE_LATE)
    if now_ms >= certificate.not_after - life // ENDING_PART:
        found.append(DeviceEventKind.CERTIFICATE_ENDING)
    return tuple(found)


class Renewal:
    """Renews one box's certificate."""

    def __init__(
        self,
        *,
        broker: BrokerSettings,
        office: EnrolmentSettings,
        signing_key: SigningKey,
        renewed: Callable[[], Awaitable[None]],
        notice: Callable[[DeviceEventKind], None] = lambda _: None,
        look_s: float = LOOK_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """Prepare to renew.

        Args:
            broker: names the files.
            office: where to.
            signing_key: of the box.
            renewed: called once a new certificate is in its place.
            notice: tells something of the box as a whole.
            look_s: real seconds between two looks at the certificate.
            first_pause_s: real seconds after a first failure; doubled at each further one.
        """
        self._broker = broker
        self._office = office
        self._signing_key = signing_key
        self._renewed = renewed
        self._notice = notice
        self._in_time = False
        self._look_s = look_s
        self._first_pause_s = first_pause_s
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look and renew for ever."""
        failures = 0
        while True:
            try:
                if await self.renew_when_due():
                    await self._renewed()
                failures = 0
                pause = self._look_s
                if not self._in_time:
                    # Also at the first look: an alert of before a restart, or before a nurse enrolled the box anew.
                    self._in_time = True
                    self._notice(DeviceEventKind.CERTIFICATE_RENEWED)
            except (EnrolmentFailedError, IdentityError, OSError) as error:
                self._tell(error)
                self._tell_lateness()
                pause = min(self._first_pause_s * 2.0**failures, LONGEST_PAUSE_S)
                failures = min(failures + 1, 16)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    async def renew_when_due(self) -> bool:
        """Renew when a third of the certificate's life is over; return whether there is a new one.

        Raises:
            EnrolmentFailedError, IdentityError: not this time; what is there stays.
            OSError: the new one cannot be written; likewise.
        """
        if time.time_ns() // 1_000_000 < Certificate.load(self._broker.certificate).renew_at:
            return False
        await self._renew()
        return True

    async def obey(self, order: Order) -> Done:
        """Renew now because the team asks, due or not."""
        del order
        try:
            await self._renew()
        except (EnrolmentFailedError, IdentityError, OSError) as error:
            self._tell(error)
            said = (error.why, error.hint) if isinstance(error, EnrolmentFailedError) else ()
            return refused("office", *said)
        await self._renewed()
        until = datetime.fromtimestamp(Certificate.load(self._broker.certificate).not_after / 1000, UTC)
        return applied(Sentence(fr=f"Certificat jusqu'au {until:%d/%m/%Y}.", en=f"Certificate until {until:%Y-%m-%d}."))

    async def _renew(self) -> None:
        pem = await renew(
            host=self._office.host,
            port=self._office.port,
            ca=self._broker.ca,
            certificate=self._broker.certificate,
            key=self._broker.key,
            signing=self._signing_key,
        )
        await asyncio.to_thread(write_durably, self._broker.certificate, pem, mode=0o644)
        self._told.clear()
        logger.info("certificate renewed", extra={EVENT: "certificate_renewed"})

    def _tell_lateness(self) -> None:
        with suppress(IdentityError):  # one that cannot be read has no dates, and the link says so
            for kind in lateness(Certificate.load(self._broker.certificate), now_ms=time.time_ns() // 1_000_000):
                self._in_time = False
                self._notice(kind)

    def _tell(self, error: Exception) -> None:
        text = str(error)
        if text not in self._told:
            self._told.add(text)
            logger.warning("certificate not renewed yet", extra={EVENT: "certificate_not_renewed", REASON: text})

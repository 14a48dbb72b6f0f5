"""Many boxes at once, at the level of MQTT: what a region's server sees of them.

Simulated: the homes, their devices and the boxes' databases. Real: each box's certificate and TLS connection, its
signing key, its sealed and signed envelopes, birth, heartbeat and will, the order in which a box sends (alerts first,
readings by the credit that the team gives), what it sends again, and the receipts, which are verified. A box keeps
nothing on a disk here: one that is stopped has lost what waited.

A box goes on as the box does (agent/forwarder, agent/on_the_way): envelopes leave until their receipts come.
"""

import asyncio
import contextlib
import random
import secrets
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from agent.on_the_way import OnTheWay
from agent.outbox import Entry
from agent.presence import Presence
from agent.settings import ForwarderSettings
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from devices.clock import Clock
from devices.reading import ClockTrust, Quantity, Unit, Validity
from exchange.connection import NO_MATCHING_SUBSCRIBERS
from exchange.errors import ReceiptError
from exchange.identity import Recipient, SigningKey
from exchange.messages import AlertRecord, ObservationRecord, Range, Record
from exchange.messages import alert as alert_record
from exchange.sealing import LANE_ALERTS, LANE_SPARSE, Sealer, verify_receipt
from exchange.topics import ALERTS, OBSERVATIONS, RECEIPTS, topic
from simulators.mqtt_client import Address, Hello, MqttClient, MqttError

PROTOCOL = "diabetes_cgm"
MINUTE_MS = 60_000
VERSION = "0.1.0"
LONGEST_PAUSE_S = 30.0
_NO_SUBSCRIBER_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetServer:
    """What the boxes of a fleet know of their team.

    Attributes:
        host: of the broker.
        port: of the broker.
        recipients: to whom records are sealed.
        receipt_signers: id -> public key of who signs receipts.
    """

    host: str
    port: int
    recipients: Sequence[Recipient]
    receipt_signers: Mapping[str, bytes]


class FleetBox:
    """One simulated box."""

    def __init__(
        self, *, name: str, patient: str, key: SigningKey, server: FleetServer, context: ssl.SSLContext, clock: Clock
    ) -> None:
        """`context` shows the box's own certificate."""
        self.name = name
        self.patient = patient
        self.receipted = 0
        """Records that the team has said it has."""
        self.connections = 0
        self._server = server
        self._context = context
        self._clock = clock
        self._epoch = secrets.token_hex(16)
        self._sealer = Sealer(box=name, signing_key=key, recipients=server.recipients)
        self._presence = Presence(box=name, epoch=self._epoch, version=VERSION, signing_key=key, clock=clock)
        self._next_seq = 0
        self._alerts: dict[int, Entry] = {}
        self._readings: dict[int, Entry] = {}
        self._on_the_way = OnTheWay(ForwarderSettings())
        self._wake = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Envelopes that wait for their receipt."""
        return len(self._alerts) + len(self._readings)

    @property
    def alerts_waiting(self) -> int:
        """Alerts that wait for their receipt."""
        return len(self._alerts)

    # --- what happens in its home -----------------------------------------------------------------------------

    def measure(self, *, at: int) -> None:
        """Let its sensor give a reading at `at` (ms UTC)."""
        self._keep(LANE_SPARSE, reading(self.patient, at))

    def alert(self, *, at: int) -> None:
        """Let it raise an alert at `at` (ms UTC)."""
        self._keep(LANE_ALERTS, raised(self.patient, at))

    def _keep(self, lane: int, record: Record) -> None:
        first = self._next_seq
        self._next_seq += 1
        body = self._sealer.seal(
            epoch=self._epoch, first=first, lane=lane, created=self._clock.now_ms(), records=[record]
        )
        waiting = self._alerts if lane == LANE_ALERTS else self._readings
        waiting[first] = Entry(first=first, last=first, lane=lane, body=body)
        self._wake.set()

    # --- forwarding -------------------------------------------------------------------------------------------

    async def run(self, *, within_s: float = 0.0) -> None:
        """Forward for ever; connections that break are made again.

        Args:
            within_s: the first connection is made at a moment within so many seconds from now.
        """
        failures = 0
        await asyncio.sleep(within_s * random.random())  # noqa: S311 - jitter, no secret
        while True:
            hello = Hello(client_id=self.name, will=self._presence.will())
            address = Address(host=self._server.host, port=self._server.port, context=self._context)
            with contextlib.suppress(MqttError):
                async with MqttClient(address, hello, self._heard) as client:
                    self.connections += 1
                    failures = 0
                    await self._connected(client)
            # As a box pauses (exchange/link): drawn within a bound that doubles, so that a fleet comes back one by one.
            await asyncio.sleep(min(LONGEST_PAUSE_S, 0.5 * 2.0**failures) * random.random())  # noqa: S311 - jitter
            failures = min(failures + 1, 10)

    async def _connected(self, client: MqttClient) -> None:
        self._on_the_way.begin()
        await client.subscribe(topic(self.name, RECEIPTS))
        status = self._presence.online(next_seq=self._next_seq, backlog=self.backlog)
        await client.publish(self._presence.topic, status, retain=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._told_when_over(client))
            group.create_task(self._heartbeat(client))
            while not client.broken:
                self._wake.clear()
                now = time.monotonic()
                leaving = self._leaving(now)
                self._on_the_way.leave(leaving, now)
                for entry in leaving:
                    group.create_task(self._publish(client, entry))
                due = self._on_the_way.next_due()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(30.0 if due is None else max(0.01, due - now)):
                        await self._wake.wait()

    async def _heartbeat(self, client: MqttClient) -> None:
        """Say that the box is there, as often as a box does."""
        pause = ForwarderSettings().heartbeat
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.75, 1.0)):  # noqa: S311 - jitter
                    await client.wait_over()
                    return
            status = self._presence.online(next_seq=self._next_seq, backlog=self.backlog)
            with contextlib.suppress(MqttError):
                await client.publish(self._presence.topic, status, retain=True)

    async def _told_when_over(self, client: MqttClient) -> None:
        await client.wait_over()
        self._wake.set()

    def _leaving(self, now: float) -> list[Entry]:
        """Return what may leave: alerts first, the newest of each first."""
        still, room = set(self._on_the_way.still(now)), self._on_the_way.room(now)
        alerts = (entry for first, entry in reversed(self._alerts.items()) if first not in still)
        readings = (entry for first, entry in reversed(self._readings.items()) if first not in still)
        return [*islice(alerts, room.alerts), *islice(readings, room.readings)]

    async def _publish(self, client: MqttClient, entry: Entry) -> None:
        channel = ALERTS if entry.lane == LANE_ALERTS else OBSERVATIONS
        try:
            code = await client.publish(topic(self.name, channel), entry.body)
        except MqttError:
            self._wake.set()
            return
        if code == NO_MATCHING_SUBSCRIBERS:
            self._on_the_way.again_within(entry.first, _NO_SUBSCRIBER_PAUSE_S, time.monotonic())
            self._wake.set()

    def _heard(self, _topic: str, payload: bytes) -> None:
        try:
            receipt = verify_receipt(payload, box=self.name, signers=self._server.receipt_signers)
        except ReceiptError:
            return
        freed = [
            first
            for part in receipt.epochs
            if part.epoch == self._epoch
            for first in self._within(part.ranges)
            if (self._readings.pop(first, None) or self._alerts.pop(first, None)) is not None
        ]
        self.receipted += len(freed)
        self._on_the_way.receipted(freed, receipt.credit)
        self._wake.set()

    @staticmethod
    def _within(ranges: Sequence[Range]) -> Sequence[int]:
        return [seq for part in ranges for seq in range(part.first, part.last + 1)]


def reading(patient: str, at: int) -> ObservationRecord:
    """Return a sensor's reading at `at` (ms UTC)."""
    count = 700 + at // 300_000 * 7919 % 900
    return ObservationRecord(
        patient=patient,
        quantity=Quantity.GLUCOSE_INTERSTITIAL,
        count=count,
        unit=Unit.MG_PER_DL,
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at,
        device="C4:B0:00:00:00:01",
        key=str(at),
        quality=0,
        source="device",
        device_value=str(count // 10),
        device_unit=Unit.MG_PER_DL,
        device_time=None,
        frame=count.to_bytes(2, "little"),
    )


def raised(patient: str, at: int) -> AlertRecord:
    """Return the alert that a simulated box raises at `at` (ms UTC); it says that it is simulated."""
    onset = at - 15 * MINUTE_MS
    return alert_record(
        AlertChange(
            kind=ChangeKind.RAISED,
            alert_id=alert_id(patient=patient, protocol=PROTOCOL, rule="hypo_level_1", onset=onset),
            patient=patient,
            rule="hypo_level_1",
            priority=Priority.MEDIUM,
            category=Category.CLINICAL,
            onset=onset,
            raised_at=at,
            resolved_at=None,
            evidence=(),
            why=Sentence(fr="Hypoglycémie d'un patient simulé.", en="Hypoglycaemia of a simulated patient."),
            late=False,
            supersedes=None,
            protocol=PROTOCOL,
            protocol_version=1,
            protocol_hash="00" * 32,
            engine_version="simulated",
        )
    )

"""What the box says about itself to anybody on the broker's side: signed, and without any health data.

Every connection has a session id of its own, in the will handed to the broker at connect and in the birth said
right after: a will that the broker delivers late cannot mask the birth of a newer connection.
"""

import secrets

from devices.clock import Clock
from exchange.identity import SigningKey
from exchange.messages import Status
from exchange.sealing import sign_status
from exchange.topics import STATUS, topic


class Presence:
    """The birth, heartbeat and will of one box."""

    def __init__(
        self,
        *,
        box: str,
        epoch: str,
        version: str,
        signing_key: SigningKey,
        clock: Clock,
    ) -> None:
        self._box = box
        self.epoch = epoch
        """The epoch that is announced from the next status on."""
        self._version = version
        self._signing_key = signing_key
        self._clock = clock
        self._session = secrets.token_hex(16)
        self._next_seq = 0
        self._backlog = 0

    @property
    def topic(self) -> str:
        """Where statuses are retained."""
        return topic(self._box, STATUS)

    def will(self) -> tuple[str, bytes]:
        """Begin a session; return the topic and message that the broker publishes when the box falls silent."""
        self._session = secrets.token_hex(16)
        return self.topic, self._signed("offline")

    def online(self, *, next_seq: int, backlog: int) -> bytes:
        """Return the birth or heartbeat of the session that `will` began."""
        self._next_seq, self._backlog = next_seq, backlog
        return self._signed("online")

    def _signed(self, state: str) -> bytes:
        status = Status(
            state=state,
            box=self._box,
            epoch=self.epoch,
            session=self._session,
            next_seq=self._next_seq,
            backlog=self._backlog,
            version=self._version,
            # Left out: whoever keeps the broker would read from a pathway's hash what a patient suffers from.
            protocols={},
            at=self._clock.now_ms(),
        )
        return sign_status(status, self._signing_key)

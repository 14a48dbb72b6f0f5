"""Opens what boxes sealed: under their present key, or under one of before when they hand it over.

- What comes as it was sealed counts under the key that the box has now.
- What a box hands over (`exchange.handed_over`) counts under any key of its own that was never revoked, for as long as
  `box_identity.BACKLOG_MS` after it was replaced. What a box says of its own time decides nothing.

Not here: which keys those are (`box_identity`).
"""

from collections.abc import Callable, Sequence

from coordination.box_identity import BoxKeys
from exchange.handed_over import is_handed_over, taken_over
from exchange.identity import OpeningKey
from exchange.sealing import Opened, Opener


class BacklogOpener:
    """An `Opener` of what boxes sealed, now and before."""

    def __init__(self, *, keys: Sequence[OpeningKey], boxes: BoxKeys, now_ms: Callable[[], int]) -> None:
        """Prepare to open.

        Args:
            keys: the team's opening keys.
            boxes: whose keys are whose.
            now_ms: ms UTC, real time.
        """
        self._boxes = boxes
        self._present = Opener(keys=keys, signer_of=boxes.signer_of)
        self._handed_over = Opener(keys=keys, signer_of=lambda box, signer: boxes.sealer_of(box, signer, at=now_ms()))

    def use(self, keys: Sequence[OpeningKey]) -> None:
        """Open with these from the next envelope on."""
        self._present.use(keys)
        self._handed_over.use(keys)

    def open(self, data: bytes, *, box: str) -> Opened:
        """Verify, decrypt and decode what arrived on a topic of `box`.

        Raises:
            EnvelopeError: see `Opener.open` and `handed_over.taken_over`.
        """
        if not is_handed_over(data):
            return self._present.open(data, box=box)
        return self._handed_over.open(taken_over(data, box=box, signer_of=self._boxes.signer_of), box=box)

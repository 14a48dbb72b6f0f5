"""The envelopes that this box sealed: which they are, and how each leaves.

- One sealed under the present key leaves as it is.
- One sealed under a key of before leaves handed over (`exchange.handed_over`): alone, the team believes it no more.
- One that was altered since, or whose key the team said it no longer believes, never leaves: it would be refused for
  ever. Where the box cannot know, it is sent.

Not here: which keys the box had (`own_signers`), and what becomes of what never leaves (`leaving`).
"""

from agent.own_signers import OwnSigners
from exchange.gaps import GapReason
from exchange.handed_over import hand_over
from exchange.identity import SigningKey, key_id
from exchange.sealing import Header, claimed_signer, sealed_by


class OwnEnvelopes:
    """What one box sealed, under its signing key and those before."""

    def __init__(self, key: SigningKey, signers: OwnSigners | None = None) -> None:
        """`signers` are the keys that the box ever had; None: this one only."""
        signers = signers or OwnSigners()
        self._key = key
        self._certain = signers.certain
        self._withdrawn = {key_id(public) for public in signers.withdrawn} - {key.id}
        self._believed = {key_id(public): public for public in signers.believed} | {key.id: key.public}

    def header_of(self, envelope: bytes) -> Header | None:
        """Return the header of an envelope that is as this box sealed it, None of any other."""
        public = self._believed.get(claimed_signer(envelope) or "")
        return None if public is None else sealed_by(public, envelope)

    def leaving(self, envelope: bytes) -> bytes | GapReason:
        """Return an envelope as it leaves, or why it never will."""
        signer = claimed_signer(envelope)
        if signer in self._withdrawn:
            return GapReason.WITHDRAWN
        if signer in self._believed:
            if self.header_of(envelope) is None:
                return GapReason.ALTERED
        elif signer is None or self._certain:
            return GapReason.ALTERED
        return envelope if signer == self._key.id else hand_over(envelope, self._key)

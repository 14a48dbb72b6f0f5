"""Which signing keys this box ever sealed under, in a file of its state folder: public halves, and the team's word.

- The present key is written down at each start, so that what it sealed is known whatever happens to its file.
- At each enrolment the team says from which keys of before it still takes envelopes; the others are *withdrawn*.
- A file that is damaged stops nothing and condemns nothing: no key is withdrawn then, and none is unknown for sure.

Nothing here is secret, and nothing is believed for being here: the team verifies all of it. Not here: what leaves how
(`own_envelopes`).
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from agent.logs import EVENT, REASON
from exchange.durable_file import write_durably

logger = logging.getLogger(__name__)

FILE: Final = "signers"
MOST: Final = 64
"""Keys of each kind that are remembered, the newest."""
_MOST_BYTES: Final = 2 * MOST * 80
_LINE: Final = re.compile(r"(believed|withdrawn) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSigners:
    """Raw public keys of one box, the newest last.

    Attributes:
        believed: the present one, and those of before whose envelopes the team takes as far as the box knows.
        withdrawn: whose envelopes the team said it takes no more.
        certain: these are all; False when the file could not be read.
    """

    believed: tuple[bytes, ...] = ()
    withdrawn: tuple[bytes, ...] = ()
    certain: bool = True

    @classmethod
    def read(cls, state: Path) -> Self:
        """Return what the file of this state folder says; nothing is certain of one that cannot be read."""
        found: dict[str, list[bytes]] = {"believed": [], "withdrawn": []}
        try:
            with (state / FILE).open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return cls()
        except OSError as error:
            return cls._unknown(str(error.strerror))
        for line in data.decode("ascii", "replace").splitlines():
            match = _LINE.fullmatch(line)
            if match is None or len(data) > _MOST_BYTES:
                return cls._unknown("not a list of keys")
            found[match[1]].append(bytes.fromhex(match[2]))
        return cls(believed=tuple(found["believed"]), withdrawn=tuple(found["withdrawn"]))

    @classmethod
    def _unknown(cls, reason: str) -> Self:
        logger.warning(
            "which keys the box had is not known; what waits is sent all the same",
            extra={EVENT: "own_signers", REASON: reason},
        )
        return cls(certain=False)

    def sealing_under(self, public: bytes) -> "OwnSigners":
        """Return these with `public` as the present one."""
        return replace(self, believed=_newest([*(key for key in self.believed if key != public), public]))

    def as_told(self, present: bytes, earlier: Iterable[bytes]) -> "OwnSigners":
        """Return these as the team has just said: it believes `present`, and takes what `earlier` ones sealed."""
        believed = _newest([*(key for key in earlier if key != present), present])
        gone = [key for key in (*self.withdrawn, *self.believed) if key not in believed]
        return OwnSigners(believed=believed, withdrawn=_newest(list(dict.fromkeys(gone))))

    def write(self, state: Path) -> None:
        """Keep them in this state folder.

        Raises:
            OSError: they cannot be written; what was kept stays.
        """
        lines = [f"believed {key.hex()}\n" for key in self.believed]
        lines += [f"withdrawn {key.hex()}\n" for key in self.withdrawn]
        write_durably(state / FILE, "".join(lines).encode("ascii"), mode=0o600)


def own_signers(state: Path, public: bytes) -> OwnSigners:
    """Return the keys that the box had, once it is kept that it seals under `public` from now on."""
    before = OwnSigners.read(state)
    now = before.sealing_under(public)
    if before.certain and now != before:
        try:
            now.write(state)
        except OSError as error:
            # Nothing is lost by it unless the key's file is: the next start tries again.
            logger.warning("the box's keys cannot be noted", extra={EVENT: "own_signers", REASON: str(error.strerror)})
    return now


def _newest(keys: list[bytes]) -> tuple[bytes, ...]:
    return tuple(keys[-MOST:])

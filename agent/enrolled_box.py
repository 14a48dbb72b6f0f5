"""Where an enrolled box keeps what makes it one: its keys, its certificate, whom it believes, its first settings.

Rules of this room:

- A private key is born once, mode 0600, in a folder that only its owner enters, and is never written over.
- Everything else is written beside and renamed, the settings last: after a power cut the box is enrolled or is not.
- Settings that exist are a person's work and stay as they are; only what the team gives anew takes its place.

Not here: the conversation (`enrolling`).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent.own_signers import OwnSigners
from agent.settings import Settings
from exchange.durable_file import write_durably
from exchange.enrolment import Given
from exchange.errors import IdentityError
from exchange.identity import OpeningKey, SigningKey, TlsKey

_REQUESTED_NAME = "new-box"
"""In the signing request; the team decides what the box is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxKeys:
    """The keys of this box, and the signing request for its certificate (PEM)."""

    tls: TlsKey
    signing: SigningKey
    opening: OpeningKey
    csr: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are kept.

    Attributes:
        settings: agent.toml.
        state: folder of the database, for the first settings.
        box: who the box is by its settings; None before.
        tls_key, signing_key, opening_key: private keys.
        certificate, ca, team: what the team gives; `team` is the team list, or team.json.
        roots: pinned root keys, hexadecimal; none where the team has none, and before there are settings.
    """

    settings: Path
    state: Path
    box: str | None
    tls_key: Path
    signing_key: Path
    opening_key: Path
    certificate: Path
    ca: Path
    team: Path
    roots: tuple[str, ...] = ()

    @classmethod
    def new(cls, settings: Path, *, state: Path) -> Self:
        """Return the places of a box that has no settings yet."""
        keys = settings.parent / "keys"
        return cls(
            settings=settings,
            state=state,
            box=None,
            tls_key=keys / "tls.key",
            signing_key=keys / "signing.key",
            opening_key=keys / "opening.key",
            certificate=keys / "certificate.pem",
            ca=keys / "ca.pem",
            team=keys / "team-list",
        )

    @classmethod
    def of(cls, settings: Settings, path: Path) -> Self:
        """Return the places of a box that has settings, read from `path`."""
        signing = settings.identity.signing_key
        return cls(
            settings=path,
            state=settings.state,
            box=settings.box,
            tls_key=settings.broker.key,
            signing_key=signing,
            opening_key=settings.identity.opening_key or signing.with_name("opening.key"),
            certificate=settings.broker.certificate,
            ca=settings.broker.ca,
            team=settings.identity.team_keys,
            roots=settings.identity.team_roots,
        )

    def born(self) -> BoxKeys:
        """Return the box's keys, made here where they are missing.

        Raises:
            IdentityError: one cannot be read, used or written.
        """
        try:
            for folder in {path.parent for path in (self.tls_key, self.signing_key, self.opening_key)}:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritable(self.signing_key.parent, error) from error
        for path, kind in ((self.tls_key, TlsKey), (self.signing_key, SigningKey), (self.opening_key, OpeningKey)):
            if not path.exists():
                kind.generate().save(path)
        tls = TlsKey.load(self.tls_key)
        return BoxKeys(
            tls=tls,
            signing=SigningKey.load(self.signing_key),
            opening=OpeningKey.load(self.opening_key),
            csr=tls.csr(_REQUESTED_NAME),
        )

    def set_keys_aside(self) -> tuple[Path, ...]:
        """Rename the box's keys, so that new ones are born; return what they are called now.

        Raises:
            IdentityError: the folder cannot be written.
        """
        moved = []
        try:
            self._remember_signer()
            for path in (self.tls_key, self.signing_key, self.opening_key):
                if path.exists():
                    number = next(n for n in range(1, 1_000_000) if not path.with_name(f"{path.name}.{n}").exists())
                    moved.append(path.rename(path.with_name(f"{path.name}.{number}")))
        except OSError as error:
            raise _unwritable(self.signing_key.parent, error) from error
        return tuple(moved)

    def _remember_signer(self) -> None:
        """Keep which key what waits was sealed under: until the team says otherwise, all of it is to be handed over."""
        with suppress(IdentityError):  # of a key that cannot be read, the last start kept the public half
            before = OwnSigners.read(self.state)
            now = before.sealing_under(SigningKey.load(self.signing_key).public)
            if before.certain and now != before and self.state.is_dir():
                now.write(self.state)

    def keep(self, given: Given, *, certificate: bytes, earlier: Sequence[str] = ()) -> bool:
        """Write what the team gave, and the first settings when there are none; return whether there were none.

        Args:
            given: what the box needs to know.
            certificate: PEM.
            earlier: keys of before whose envelopes the team still takes, 64 hexadecimal digits each.

        Raises:
            IdentityError: it cannot be written; run again, it goes on from here.
        """
        first = not self.settings.exists()
        try:
            write_durably(self.ca, given.ca, mode=0o644)
            # Settings that pin no root would read a signed list as what it is not: their file stays.
            if first or (given.root is not None) == bool(self.roots):
                write_durably(self.team, given.team, mode=0o644)
            self._note_signers(earlier)
            write_durably(self.certificate, certificate, mode=0o644)
            if first:
                write_durably(self.settings, self._first_settings(given).encode(), mode=0o644)
        except OSError as error:
            raise _unwritable(self.settings.parent, error) from error
        return first

    def _note_signers(self, earlier: Sequence[str]) -> None:
        """Keep which keys of before the team takes envelopes from; where there was none, there is nothing to keep."""
        before = OwnSigners.read(self.state)
        if earlier or before != OwnSigners():
            present = SigningKey.load(self.signing_key).public
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            before.as_told(present, map(bytes.fromhex, earlier)).write(self.state)

    def _first_settings(self, given: Given) -> str:
        folder = self.settings.parent.resolve()

        def beside(path: Path) -> str:
            return _text(str(path.resolve().relative_to(folder)))

        # JSON's strings are TOML's, so that no value can end its own line.
        relay = "" if given.relay is None else f"\n[now]\nrelay = {_text(given.relay)}\n"
        patients = "".join(
            f"\n[[patients]]\npseudonym = {_text(one.pseudonym)}\nprotocol = {_text(one.protocol)}\n"
            f"time_zone = {_text(one.time_zone)}\n"
            for one in given.patients
        )
        roots = "" if given.root is None else f"team_roots = [{_text(given.root)}]\n"
        return f"""# Written by 'veilleur enrol'; configs/agent.toml explains every key. Next: 'veilleur pair'.
box = {_text(given.box)}
state = {_text(str(self.state))}

[broker]
host = {_text(given.broker)}
port = {given.broker_port}
ca = {beside(self.ca)}
certificate = {beside(self.certificate)}
key = {beside(self.tls_key)}

[identity]
signing_key = {beside(self.signing_key)}
team_keys = {beside(self.team)}
opening_key = {beside(self.opening_key)}
{roots}
[enrolment]
host = {_text(given.office)}
port = {given.office_port}

[vault]
key_file = {_text(str(self.state / "kek"))}
{relay}{patients}"""


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _unwritable(folder: Path, error: OSError) -> IdentityError:
    return IdentityError(
        f"{folder} cannot be written: {error.strerror}",
        hint="Run it as the box's user ('sudo -u veilleur veilleur enrol ...'), and check the room on the disk.",
    )

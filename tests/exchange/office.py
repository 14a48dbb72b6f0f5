"""A team that gives orders: its root, its list, its people with their keys, and its automation."""

from dataclasses import dataclass, field
from pathlib import Path

from exchange.command_answers import Answer, open_answer
from exchange.command_bodies import Body, encode_body, place_of
from exchange.commands import LONGEST_MS, Command, CommandKind, SignedCommand, encode, seal_command, sign
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.sealed_notes import Reader
from exchange.team_list import Person, Role, TeamList, sign_team_list

NOW = 1_763_800_000_000
DAY = 86_400_000
BOX = "box-0001"
PATIENT = "patient-7f3a"


def _person_keys() -> dict[str, tuple[Role, SigningKey]]:
    return {
        "Anne Morel": (Role.NURSE, SigningKey.generate()),
        "Paul Roux": (Role.NURSE, SigningKey.generate()),
        "Dr Claire Petit": (Role.PHYSICIAN, SigningKey.generate()),
        "Omar Diallo": (Role.OPERATOR, SigningKey.generate()),
        "Inès Faure": (Role.INSTALLER, SigningKey.generate()),
    }


NURSE, OTHER_NURSE, PHYSICIAN, OPERATOR, INSTALLER = _person_keys()


@dataclass
class Office:
    root: SigningKey = field(default_factory=SigningKey.generate)
    receipt: SigningKey = field(default_factory=SigningKey.generate)
    opening: OpeningKey = field(default_factory=OpeningKey.generate)
    people: dict[str, tuple[Role, SigningKey]] = field(default_factory=_person_keys)
    named: dict[str, Person] = field(default_factory=dict)
    """Those who keep their key to themselves, by their name."""
    _version: int = NOW

    def team(self, *, version: int = 1, issued_at: int = NOW - DAY, expires_at: int = NOW + 400 * DAY) -> TeamList:
        return TeamList(
            version=version,
            issued_at=issued_at,
            expires_at=expires_at,
            recipients=(Recipient.of(self.opening, RecipientRole.TEAM),),
            receipt_signers=(ReceiptSigner.of(self.receipt),),
            people=(
                *(
                    Person(key=key.id, public=key.public.hex(), name=name, role=role)
                    for name, (role, key) in self.people.items()
                ),
                *self.named.values(),
            ),
        )

    def team_list(self, *, version: int = 1, issued_at: int = NOW - DAY, expires_at: int = NOW + 400 * DAY) -> bytes:
        team = self.team(version=version, issued_at=issued_at, expires_at=expires_at)
        return sign_team_list(team, self.root)

    def write_list(self, path: Path) -> None:
        path.write_bytes(self.team_list())

    def command(
        self,
        kind: CommandKind,
        body: Body,
        *,
        box: str = BOX,
        subject: str = "",
        version: int | None = None,
        issued_at: int = NOW,
        lasts: int | None = None,
        number: str | None = None,
    ) -> Command:
        """A command that a desk would make; each one newer than the one before."""
        self._version += 1
        about = place_of(body, subject)
        assert about is not None
        return Command(
            id=number or f"{self._version:032x}",
            box=box,
            kind=kind,
            version=self._version if version is None else version,
            issued_at=issued_at,
            expires_at=issued_at + (min(30 * DAY, LONGEST_MS[kind]) if lasts is None else lasts),
            subject=subject,
            about=about,
            body=encode_body(body),
        )

    def signed(self, command: Command, *names: str) -> SignedCommand:
        """Signed by people, or by the automation when nobody is named."""
        raw = encode(command)
        keys = [self.people[name][1] for name in names] or [self.receipt]
        if command.kind is CommandKind.TEAM_LIST and not names:
            keys = []
        return SignedCommand(command=raw, signatures=tuple(sign(raw, key) for key in keys))

    def sealed(self, command: Command, to: OpeningKey, *names: str) -> bytes:
        return self.seal(self.signed(command, *names), to)

    def seal(self, signed: SignedCommand, to: OpeningKey, *, box: str = BOX) -> bytes:
        return seal_command(signed, box=box, key=Reader.of(to), signer=self.receipt)

    def answer(self, data: bytes, signing_key: SigningKey) -> Answer:
        return open_answer(
            data,
            box=BOX,
            keys=[self.opening],
            signer_of=lambda _, signer: signing_key.public if signer == signing_key.id else None,
        )

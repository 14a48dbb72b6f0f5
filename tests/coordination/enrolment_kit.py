"""A team that welcomes boxes, and boxes that want to join, over real TLS sockets on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.enrolled_box import Places
from agent.enrolling import Enrolled, enrol
from coordination.authority import Authority
from coordination.box_identity import Revoked
from coordination.enrol_command import given_to, invite
from coordination.enrolments import Claim, Enrolments
from coordination.office import Office, now_ms
from coordination.settings import Settings, read_settings
from exchange.enrolment import EnrolmentError, Reason
from exchange.enrolment_code import EnrolmentCode
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.team_list import TeamList, sign_team_list

HOST = "127.0.0.1"
BOX = "box-0007"
PATIENCE_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds: what the broker, another thread or another process does, nobody tells us."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Desk:
    """The team's side: its folder, its settings, its authority."""

    folder: Path
    port: int = field(default_factory=free_port)
    opening: OpeningKey = field(default_factory=OpeningKey.generate)
    receipt: SigningKey = field(default_factory=SigningKey.generate)
    root: SigningKey = field(default_factory=SigningKey.generate)
    broker_port: int = 1
    reload: tuple[str, ...] = ()
    crl: Path | None = None
    acl: Path | None = None
    listed: dict[str, SigningKey] = field(default_factory=dict)
    authority_folder: Path | None = None
    taken: list[tuple[str, Revoked]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.opening.save(self.folder / "opening.key")
        self.receipt.save(self.folder / "receipt.key")
        if self.authority_folder is None:
            self.authority_folder = self.folder / "authority"
            Authority.create(self.authority_folder, at=now_ms())
        team = TeamList(
            version=1,
            issued_at=now_ms(),
            expires_at=now_ms() + 86_400_000,
            recipients=(Recipient.of(self.opening, RecipientRole.TEAM),),
            receipt_signers=(ReceiptSigner.of(self.receipt),),
        )
        (self.folder / "team-list").write_bytes(sign_team_list(team, self.root))

    @property
    def authority(self) -> Authority:
        assert self.authority_folder is not None
        return Authority.open(self.authority_folder)

    def settings(self, *boxes: str, protocol: str = "heart_failure") -> Settings:
        """The team's settings, in which each box has one patient."""
        assert self.authority_folder is not None
        text = f"""[broker]
host = "{HOST}"
port = {self.broker_port}
ca = "{self.authority_folder / "ca.pem"}"
certificate = "inbox-1.pem"
key = "inbox-1.key"

[inbox]
database = "desk.db"
opening_keys = ["opening.key"]
receipt_key = "receipt.key"

[enrolment]
authority = "{self.authority_folder}"
host = "{HOST}"
port = {self.port}
listen = "{HOST}"
team = "team-list"
root = "{self.root.public.hex()}"
relay = "the team's line"
crl = "{self.crl or ""}"
acl = "{self.acl or ""}"
reload = [{", ".join(f'"{word}"' for word in self.reload)}]
"""
        for box, key in self.listed.items():
            text += f'\n[[boxes]]\nid = "{box}"\nsigning_keys = ["{key.public.hex()}"]\n'
        for box in boxes or (BOX,):
            text += f'\n[[patients]]\npseudonym = "patient-{box[4:]}"\nbox = "{box}"\n'
            text += f'from = 2020-01-01T00:00:00Z\nprotocol = "{protocol}"\n'
        path = self.folder / "desk.toml"
        path.write_text(text, encoding="utf-8")
        return read_settings(path)

    def code(self, box: str = BOX) -> EnrolmentCode:
        return invite(self.settings(box), box).code

    @contextlib.contextmanager
    def kept(self) -> Iterator[Enrolments]:
        with Enrolments(self.folder / "desk.db", {box: {k.id: k.public} for box, k in self.listed.items()}) as kept:
            yield kept

    @contextlib.asynccontextmanager
    async def open_office(self, **changes: object) -> AsyncIterator[Office]:
        """An office that listens; what it would tell the broker is kept in `taken`."""

        async def replaced(box: str, taken: Revoked) -> None:
            self.taken.append((box, taken))

        async def welcomed(box: str) -> None:
            del box

        settings = self.settings()
        office = Office(
            authority=self.authority,
            database=settings.database,
            listed=settings.signers,
            given=lambda box: given_to(self.settings(box), box),
            replaced=replaced,
            welcomed=welcomed,
            host=HOST,
            listen=HOST,
            port=self.port,
        )
        office = replace(office, **changes)  # type: ignore[arg-type]
        async with office.opened():
            yield office

    async def claim(self) -> Claim:
        """Return the machine that waits, once one does."""
        found: list[Claim] = []

        def somebody_waits() -> bool:
            with self.kept() as kept:
                found.extend(kept.waiting())
            return bool(found)

        await until(somebody_waits)
        return found[0]

    async def nurse(self, *, yes: bool = True, digits: Callable[[str], bool] = lambda _: True) -> Claim:
        """Wait for a machine, and decide about it: `yes` when the digits are right."""
        claim = await self.claim()
        with self.kept() as kept:
            assert kept.decide(claim, yes=yes and digits(claim.digits), by="Anne", at=now_ms())
        return claim


@dataclass
class NewBox:
    """A box that wants to join."""

    folder: Path
    digits: str | None = None

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def places(self) -> Places:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Places.new(self.config, state=self.folder / "state")

    async def enrol(
        self,
        code: EnrolmentCode,
        *,
        agrees: Callable[[str], Awaitable[bool]] | None = None,
        places: Places | None = None,
    ) -> Enrolled:
        async def compare(box: str, digits: str) -> bool:
            del box
            self.digits = digits
            return True if agrees is None else await agrees(digits)

        return await enrol(code, places or self.places, compare=compare, nurse_s=PATIENCE_S)


async def join(desk: Desk, box: NewBox, code: EnrolmentCode) -> Enrolled:
    """Enrol a box with a nurse who compares what the box shows with what she sees."""
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        joining = group.create_task(box.enrol(code))
        group.create_task(desk.nurse(digits=lambda seen: seen == box.digits))
    return joining.result()


def reason_of(error: BaseException) -> Reason | None:
    """The office's reason behind what a person is told."""
    cause = error.__cause__
    return cause.reason if isinstance(cause, EnrolmentError) else None

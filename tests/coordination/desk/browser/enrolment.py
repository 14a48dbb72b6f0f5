"""The part of a team's settings by which boxes are enrolled: an authority, a signed list of who is who."""

from pathlib import Path

from coordination.authority import Authority
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.team_list import TeamList, sign_team_list
from simulators.broker import free_port

YEAR = 365 * 86_400_000


def add_enrolment(settings: Path, receipt: SigningKey, *, now: int) -> None:
    """Make them in the settings' folder, and name them in the settings."""
    folder = settings.parent
    Authority.create(folder / "authority", at=now)
    root = SigningKey.generate()
    listed = TeamList(
        version=1,
        issued_at=now,
        expires_at=now + YEAR,
        recipients=(Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(receipt),),
    )
    (folder / "team-list").write_bytes(sign_team_list(listed, root))
    with settings.open("a", encoding="utf-8") as file:
        file.write(
            f'\n[enrolment]\nauthority = "authority"\nhost = "127.0.0.1"\nlisten = "127.0.0.1"\nport = {free_port()}\n'
            f'team = "team-list"\nroot = "{root.public.hex()}"\nrelay = "the team\'s line"\n'
        )

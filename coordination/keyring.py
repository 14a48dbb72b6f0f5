"""The team's keys from month to month: born, announced, used, replaced, destroyed; and the list that says so to boxes.

Rules of this room:

- Every change makes one new list, signed by the root whose key is shown for it; nothing else is believed by a box.
- Opening keys are replaced at each rotation. What was sealed to an old one is still opened for `KEEP_MS` after it was
  retired (a box may have been away); then its private half is destroyed, and what was sealed to it is lost for
  everybody, a thief included.
- A receipt key is announced in one list before it signs anything, and stays believed for one list after it was
  replaced: a box that is one list behind or ahead frees what it should. Beyond, it is believed by nobody.
- Escrow is replaced only when asked: its private half is not on this machine.
- Classic and hybrid recipients are never mixed: whoever asks for the other kind has all of them replaced.

Not here: the files (keyring_file.py), words for people (keys_command.py), and how a list reaches the boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alerting.alert import Sentence
from coordination.errors import KeyringError
from coordination.keyring_file import (
    FOLDERS,
    NAME,
    RECEIPT_FOLDER,
    Entry,
    Handover,
    Purpose,
    State,
    destroy,
    locked,
    new_opening,
    new_receipt,
    read_state,
    refused,
    unwritable,
    write_state,
)
from exchange.errors import IdentityError, TeamListError
from exchange.identity import Recipient, RecipientRole, SigningKey
from exchange.team_list import Person, Succession, TeamList, sign_team_list

DAY_MS = 86_400_000
KEEP_MS = 400 * DAY_MS
"""How long a retired opening key is kept (DECISIONS 13)."""
LIST_DAYS = 60
"""How long a list holds unless told otherwise: two months for what is renewed every month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a change came to.

    Attributes:
        state: the folder as it is now.
        signed: the list as boxes take it.
        destroyed: files of keys that are no more.
        made: files of new keys.
    """

    state: State
    signed: bytes
    made: tuple[Path, ...] = ()
    destroyed: tuple[Path, ...] = ()


def create(
    folder: Path,
    root_file: Path,
    *,
    roles: Sequence[RecipientRole] = tuple(RecipientRole),
    hybrid: bool = False,
    days: int = LIST_DAYS,
    now_ms: int,
) -> Changed:
    """Make root, opening and receipt keys and the first list in a new folder.

    Args:
        folder: made when missing; must hold no keyring.
        root_file: where to write the root's private key.
        roles: recipients; the team is always one.
        hybrid: whether they are ML-KEM-768 with X25519.
        days: how long the list holds.
        now_ms: ms UTC.

    Raises:
        KeyringError: there are keys already, or the disk refuses.
    """
    try:
        for place in (folder, *(folder / name for name in (*FOLDERS.values(), RECEIPT_FOLDER))):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, str(error)) from error
    with locked(folder):
        if (folder / NAME).exists():
            raise KeyringError(
                Sentence(
                    fr=f"{folder} contient déjà les clés d'une équipe.", en=f"{folder} holds a team's keys already."
                ),
                hint=Sentence(
                    fr="Les renouveler : veilleur-desk keys rotate ; ou choisir un autre dossier.",
                    en="Renew them: veilleur-desk keys rotate; or choose another folder.",
                ),
            )
        root = SigningKey.generate()
        try:
            root.save(root_file)
        except IdentityError as error:
            raise refused(error) from error
        wanted = dict.fromkeys((RecipientRole.TEAM, *roles))
        made = [new_opening(folder, role, hybrid=hybrid, now_ms=now_ms) for role in wanted]
        first, next_one = (new_receipt(folder, now_ms) for _ in range(2))
        state = State(
            root=root.public.hex(),
            team=TeamList(
                version=1,
                issued_at=now_ms,
                expires_at=now_ms + days * DAY_MS,
                recipients=tuple(recipient for recipient, _ in made),
                receipt_signers=(first[0], next_one[0]),
            ),
            entries=(
                *(entry for _, entry in made),
                msgspec.structs.replace(first[1], used_from=now_ms),
                next_one[1],
            ),
        )
        signed = _signed(state, root)
        write_state(folder, state, signed)
    files = tuple(folder / entry.file for entry in state.entries)
    return Changed(state=state, signed=signed, made=(root_file, *files))


def rotate(
    folder: Path,
    root: SigningKey,
    *,
    hybrid: bool | None = None,
    escrow: bool = False,
    stolen: bool = False,
    days: int = LIST_DAYS,
    now_ms: int,
) -> Changed:
    """Replace opening and receipt keys, sign a new list, destroy the keys that are of no more use.

    Args:
        folder: the team's.
        root: the present root.
        hybrid: the kind of the new opening keys; None: as they are now.
        escrow: whether the escrow's key is replaced too; it always is when the kind changes.
        stolen: whether somebody else may have the receipt keys: none of them is believed by who has the new list.
        days: how long the list holds.
        now_ms: ms UTC.

    Raises:
        KeyringError: another root, or the disk refuses.
    """
    with locked(folder):
        state = _of_root(folder, root)
        was_hybrid = state.team.recipients[0].hybrid
        kind = was_hybrid if hybrid is None else hybrid
        made: list[Entry] = []
        recipients: list[Recipient] = []
        for old in state.team.recipients:
            if old.role is RecipientRole.ESCROW and not escrow and kind == was_hybrid:
                recipients.append(old)
                continue
            recipient, entry = new_opening(folder, old.role, hybrid=kind, now_ms=now_ms)
            recipients.append(recipient)
            made.append(entry)
        signers = state.team.receipt_signers[-2:]  # in use, and announced
        for _ in range(2 if stolen else 1):
            signer, entry = new_receipt(folder, now_ms)
            signers = (*signers, signer)
            made.append(entry)
        signers = signers[-2:] if stolen else signers
        in_use = signers[-2].id
        entries = [
            msgspec.structs.replace(entry, used_from=now_ms) if entry.id == in_use else entry
            for entry in (*state.entries, *made)
        ]
        team = msgspec.structs.replace(state.team, recipients=tuple(recipients), receipt_signers=signers)
        state = _retired(msgspec.structs.replace(state, entries=tuple(entries), team=team), now_ms)
        changed = _publish(folder, state, root, days=days, now_ms=now_ms)
        changed, destroyed = _forget(folder, changed, now_ms)
        return _with_files(changed, made=tuple(folder / entry.file for entry in made), destroyed=destroyed)


def add_person(folder: Path, root: SigningKey, person: Person, *, days: int = LIST_DAYS, now_ms: int) -> Changed:
    """Let a person's signature be believed.

    Raises:
        KeyringError: their key is in the list already, another root, or the disk refuses.
    """
    with locked(folder):
        state = _of_root(folder, root)
        known = state.team.person(person.key)
        if known is not None:
            raise KeyringError(
                Sentence(
                    fr=f"La clé {person.key} est déjà celle de {known.name}.",
                    en=f"The key {person.key} is {known.name}'s already.",
                ),
                hint=Sentence(fr="Une clé par personne : en faire une autre.", en="One key a person: make another."),
            )
        return _with_people(folder, state, root, (*state.team.people, person), days=days, now_ms=now_ms)


def remove_person(folder: Path, root: SigningKey, key: str, *, days: int = LIST_DAYS, now_ms: int) -> Changed:
    """Let a person's signature be believed no longer; `key` is the id of their key.

    Raises:
        KeyringError: nobody has that key, another root, or the disk refuses.
    """
    with locked(folder):
        state = _of_root(folder, root)
        if state.team.person(key) is None:
            raise KeyringError(
                Sentence(fr=f"Personne n'a la clé {key}.", en=f"Nobody has the key {key}."),
                hint=Sentence(fr="Voir « veilleur-desk keys list ».", en="See 'veilleur-desk keys list'."),
            )
        people = tuple(person for person in state.team.people if person.key != key)
        return _with_people(folder, state, root, people, days=days, now_ms=now_ms)


def add_recipient(
    folder: Path, root: SigningKey, role: RecipientRole, *, days: int = LIST_DAYS, now_ms: int
) -> Changed:
    """Let one more open what boxes seal from the next list on.

    Raises:
        KeyringError: there is one of that role, another root, or the disk refuses.
    """
    with locked(folder):
        state = _of_root(folder, root)
        if any(recipient.role is role for recipient in state.team.recipients):
            raise KeyringError(
                Sentence(fr=f"Il y a déjà une clé « {role} ».", en=f"There is a key of '{role}' already."),
                hint=Sentence(
                    fr="La renouveler : veilleur-desk keys rotate.", en="Renew it: veilleur-desk keys rotate."
                ),
            )
        hybrid = state.team.recipients[0].hybrid
        recipient, entry = new_opening(folder, role, hybrid=hybrid, now_ms=now_ms)
        team = msgspec.structs.replace(state.team, recipients=(*state.team.recipients, recipient))
        state = msgspec.structs.replace(state, team=team, entries=(*state.entries, entry))
        changed = _publish(folder, state, root, days=days, now_ms=now_ms)
        return _with_files(changed, made=(folder / entry.file,))


def remove_recipient(
    folder: Path, root: SigningKey, role: RecipientRole, *, days: int = LIST_DAYS, now_ms: int
) -> Changed:
    """Let one read nothing that is sealed once boxes have the new list; what they could read before, they still can.

    Raises:
        KeyringError: nobody of that role, the team itself, another root, or the disk refuses.
    """
    with locked(folder):
        state = _of_root(folder, root)
        left = tuple(recipient for recipient in state.team.recipients if recipient.role is not role)
        if role is RecipientRole.TEAM or len(left) == len(state.team.recipients):
            raise KeyringError(
                Sentence(
                    fr=f"Le destinataire « {role} » ne peut pas être retiré.",
                    en=f"The recipient '{role}' cannot be removed.",
                ),
                hint=Sentence(
                    fr="L'équipe reste toujours destinataire ; « veilleur-desk keys list » montre les autres.",
                    en="The team always stays a recipient; 'veilleur-desk keys list' shows the others.",
                ),
            )
        team = msgspec.structs.replace(state.team, recipients=left)
        state = _retired(msgspec.structs.replace(state, team=team), now_ms)
        return _publish(folder, state, root, days=days, now_ms=now_ms)


def change_root(folder: Path, old: SigningKey, new_file: Path, *, days: int = LIST_DAYS, now_ms: int) -> Changed:
    """Make a new root key, let the old one hand over to it, and sign a list with the new one.

    Raises:
        KeyringError: `old` is not the present root, the file exists, too many successions, or the disk refuses.
    """
    with locked(folder):
        state = _of_root(folder, old)
        new = SigningKey.generate()
        step = Succession.of(old=old, new=new.public)
        handover = Handover(public=step.public.hex(), signature=step.signature.hex())
        state = msgspec.structs.replace(state, root=new.public.hex(), successions=(*state.successions, handover))
        _signed(state, new)  # what boxes would refuse must not leave a root behind
        try:
            new.save(new_file)
        except IdentityError as error:
            raise refused(error) from error
        changed = _publish(folder, state, new, days=days, now_ms=now_ms)
        return _with_files(changed, made=(new_file,))


# --- what every change does -------------------------------------------------------------------------------------


def _with_files(changed: Changed, *, made: tuple[Path, ...] = (), destroyed: tuple[Path, ...] = ()) -> Changed:
    """Return the same with files named."""
    return Changed(state=changed.state, signed=changed.signed, made=made, destroyed=destroyed)


def _with_people(
    folder: Path, state: State, root: SigningKey, people: tuple[Person, ...], *, days: int, now_ms: int
) -> Changed:
    team = msgspec.structs.replace(state.team, people=people)
    return _publish(folder, msgspec.structs.replace(state, team=team), root, days=days, now_ms=now_ms)


def _publish(folder: Path, state: State, root: SigningKey, *, days: int, now_ms: int) -> Changed:
    """Give the list its next version, sign it, and write both."""
    team = msgspec.structs.replace(
        state.team, version=state.team.version + 1, issued_at=now_ms, expires_at=now_ms + days * DAY_MS
    )
    state = msgspec.structs.replace(state, team=team)
    signed = _signed(state, root)
    write_state(folder, state, signed)
    return Changed(state=state, signed=signed)


def _signed(state: State, root: SigningKey) -> bytes:
    steps = tuple(Succession(bytes.fromhex(step.public), bytes.fromhex(step.signature)) for step in state.successions)
    try:
        return sign_team_list(state.team, root, successions=steps)
    except TeamListError as error:
        raise KeyringError(
            Sentence(
                fr=f"Cette liste serait refusée par les boîtiers ({error}).",
                en=f"Boxes would refuse this list ({error}).",
            ),
            hint=Sentence(
                fr="Rien n'est changé ; retirer des personnes, ou refaire un dossier de clés.",
                en="Nothing is changed; remove people, or begin a new key folder.",
            ),
        ) from error


def _of_root(folder: Path, root: SigningKey) -> State:
    state = read_state(folder)
    if state.root != root.public.hex():
        raise KeyringError(
            Sentence(
                fr=f"La clé {root.id} n'est pas la racine de cette équipe.",
                en=f"The key {root.id} is not the root of this team.",
            ),
            hint=Sentence(
                fr="Donner avec --root la clé racine actuelle, gardée hors ligne.",
                en="Give the present root key, kept offline, with --root.",
            ),
        )
    return state


def _retired(state: State, now_ms: int) -> State:
    """Note which keys the list names no longer."""
    named = {key.id for key in state.team.recipients} | {key.id for key in state.team.receipt_signers}
    entries = tuple(
        msgspec.structs.replace(entry, retired_at=now_ms)
        if entry.id not in named and entry.retired_at is None
        else entry
        for entry in state.entries
    )
    return msgspec.structs.replace(state, entries=entries)


def _forget(folder: Path, changed: Changed, now_ms: int) -> tuple[Changed, tuple[Path, ...]]:
    """Destroy the keys that are of no more use; return what stays, and their files."""

    def over(entry: Entry) -> bool:
        kept = KEEP_MS if entry.purpose is Purpose.OPENING else 0
        return entry.retired_at is not None and now_ms - entry.retired_at >= kept

    # The file goes first: what is still named after a power cut is destroyed the next time.
    destroyed = tuple(destroy(folder / entry.file) for entry in changed.state.entries if over(entry))
    left = tuple(entry for entry in changed.state.entries if not over(entry))
    state = msgspec.structs.replace(changed.state, entries=left)
    write_state(folder, state, changed.signed)
    return Changed(state=state, signed=changed.signed), destroyed

"""Copies of the protocols that the team ordered, beside the database: one file a patient, sealed to the box itself.

A copy is written after the database has the protocol, and read only when the database does not have it: a database that
had to be given up begins again with what the team ordered last. Its name says nothing; only this box's opening key
opens it, and only what its own signing key signed is believed.

Not here: which protocol holds (the database).
"""

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.command_store import AppliedProtocol
from agent.logs import EVENT, REASON
from exchange.durable_file import sync_folder
from exchange.errors import UNDECODABLE, EnvelopeError
from exchange.identity import OpeningKey, SigningKey
from exchange.sealed_notes import Purpose, Reader, read_note, seal_note

logger = logging.getLogger(__name__)

FOLDER = "protocols"


class ProtocolCopies:
    """The copies of one box, in the folder `protocols` of its state."""

    def __init__(self, state: Path, *, box: str, signing_key: SigningKey, opening_key: OpeningKey) -> None:
        self._folder = state / FOLDER
        self._box = box
        self._signing_key = signing_key
        self._opening_key = opening_key

    async def write(self, protocol: AppliedProtocol) -> None:
        """Write a copy over an older one, whole or not at all; a disk that refuses is told and not waited for."""
        try:
            await asyncio.to_thread(self._write, protocol)
        except OSError as error:
            logger.warning(
                "the copy of an ordered protocol could not be written; the database has it",
                extra={EVENT: "protocol_copy", REASON: error.strerror},
            )

    def _write(self, protocol: AppliedProtocol) -> None:
        content = seal_note(
            msgspec.msgpack.encode(protocol),
            purpose=Purpose.KEPT,
            box=self._box,
            signer=self._signing_key,
            readers=[Reader.of(self._opening_key)],
        )
        path = self._path(protocol.patient)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)

    def read(self, patient: str) -> AppliedProtocol | None:
        """Return the copy of a patient's protocol; None when there is none, or none that this box wrote."""
        try:
            data = self._path(patient).read_bytes()
            note = read_note(data, purpose=Purpose.KEPT, box=self._box)
            note.verify(self._signing_key.public if note.header.signer == self._signing_key.id else None)
            protocol = msgspec.msgpack.decode(note.open([self._opening_key]), type=AppliedProtocol)
        except FileNotFoundError:
            return None
        except (OSError, EnvelopeError, *UNDECODABLE) as error:
            logger.warning(
                "the copy of an ordered protocol cannot be used",
                extra={EVENT: "protocol_copy", REASON: type(error).__name__},
            )
            return None
        return protocol if protocol.patient == patient else None

    def tidy(self) -> None:
        """Delete what a power cut left of copies that were being written; a disk that refuses is let be."""
        with suppress(OSError):
            for draft in self._folder.glob(".*"):
                draft.unlink(missing_ok=True)

    def forget(self, patient: str) -> None:
        """Delete the copy of a patient who is erased."""
        self._path(patient).unlink(missing_ok=True)
        if self._folder.is_dir():
            sync_folder(self._folder)

    def _path(self, patient: str) -> Path:
        # Keyed by a secret of the box: a pseudonym cannot be guessed from the name of its file.
        secret = hashlib.sha256(self._signing_key.sign(b"veilleur/v1/protocol-copies\x00")).digest()
        return self._folder / hmac.new(secret, patient.encode(), hashlib.sha256).hexdigest()[:32]

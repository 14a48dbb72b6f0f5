"""Making the broker act on a revocation, and seeing that it did.

What mosquitto 2 does, as tried on 2.0.11 of Debian 12 (tests/coordination/test_revoking.py):

- On SIGHUP it reads its access list and its revocation list again, when `crlfile` was in its configuration from the
  start. A revoked certificate is then refused in the handshake, a resumed session too.
- SIGHUP throws nobody out: who is connected stays so, under whatever client id it chose.
- A second connection with the same client id ends the first.

Hence three things, with one signal: the serials go into the revocation list, so that no new connection is made; the
access list denies the box every topic, so that one that is connected can neither say nor hear anything more; and a
connection in the box's name, with a certificate of a few minutes, throws out the one that stands. A probe whose
certificate is revoked with the box's shows that the broker has really taken up the list: it got in before, and is
refused now.

Not here: keys and the inbox (`box_identity`).
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from alerting.alert import Sentence
from coordination.authority import Authority, Issued
from coordination.errors import CoordinationError
from exchange.connection import Connection, LinkSettings, Message
from exchange.durable_file import write_durably
from exchange.errors import LinkError
from exchange.identity import TlsKey

PROBE = "desk-probe"
SHORT = timedelta(minutes=10)
"""How long a certificate holds that is needed for one connection."""
RELOAD_S = 30.0
PROOF_S = 60.0
LOOK_S = 0.2


class BrokerControlError(CoordinationError):
    """The broker could not be told, or does not act on what it was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """The team's broker as this machine reaches it."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerControl:
    """What can be done to one broker.

    Attributes:
        authority: of the team.
        address: of the broker.
        crl: where it reads its revocation list; None when that is the authority's own file.
        acl: its access list; None when there is none to write to.
        reload: command that sends it SIGHUP, word by word; empty when somebody does it by hand.
    """

    authority: Authority
    address: BrokerAddress
    crl: Path | None
    acl: Path | None
    reload: Sequence[str]

    async def revoke(self, box: str, serials: Sequence[str], *, deny: bool = True) -> float:
        """Keep a box out from now on; return after how many seconds that was seen to hold.

        Args:
            box: its id.
            serials: of its certificates.
            deny: whether every topic is denied to its name; not so when another machine has that name now.

        Raises:
            BrokerControlError: it is not sure that the broker refuses; the revocation list is written all the same.
            AuthorityError: the list cannot be written.
        """
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="veilleur-") as folder:
            place = Path(folder)
            probe = self._short_lived(PROBE, place)
            # In the list before anything can go wrong: whoever reloads the broker by hand has it all.
            self.authority.revoke([*serials], at=_now())
            self._hand_over()
            if deny and self.acl is not None:
                _deny(self.acl, box)
            reachable = await self._lets_in(probe[1])
            self.authority.revoke([probe[0].serial], at=_now())
            self._hand_over()
            await self._reload()
            if reachable is not None:
                raise _unreachable(self.address, reachable)
            await self._refuses(probe[1])
            await self._throw_out(box, place)
        return time.monotonic() - began

    async def allow(self, box: str) -> None:
        """Let a name be used again that was denied every topic.

        Raises:
            BrokerControlError: the broker cannot be told.
        """
        if self.acl is not None and _allow(self.acl, box):
            await self._reload()

    # --- telling it ---------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self.crl is None or self.crl == self.authority.crl:
            return
        try:
            write_durably(self.crl, self.authority.crl.read_bytes(), mode=0o644)
        except OSError as error:
            raise _unwritable(self.crl, error) from error

    async def _reload(self) -> None:
        if not self.reload:
            raise BrokerControlError(
                Sentence(
                    fr="Le broker n'est pas prévenu : 'enrolment.reload' est vide dans desk.toml.",
                    en="The broker is not told: 'enrolment.reload' is empty in desk.toml.",
                ),
                hint=Sentence(
                    fr="Lui envoyer SIGHUP maintenant ('systemctl reload mosquitto').",
                    en="Send it SIGHUP now ('systemctl reload mosquitto').",
                ),
            )
        line = " ".join(self.reload)
        try:
            async with asyncio.timeout(RELOAD_S):
                process = await asyncio.create_subprocess_exec(
                    *self.reload, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
                )
                try:
                    status = await process.wait()
                finally:
                    if process.returncode is None:
                        process.kill()
        except OSError as error:  # TimeoutError is one
            raise _not_told(line, error.strerror or "timed out") from error
        if status != 0:
            raise _not_told(line, f"exit {status}")

    # --- seeing what it does --------------------------------------------------------------------------------

    def _short_lived(self, name: str, folder: Path) -> tuple[Issued, LinkSettings]:
        """Return a certificate for one connection, whose key is gone with `folder`."""
        key, key_file, certificate = TlsKey.generate(), folder / f"{name}.key", folder / f"{name}.pem"
        key.save(key_file)
        issue = self.authority.program if name == PROBE else self.authority.box
        issued = issue(key.csr(name), name, at=_now(), lifetime=SHORT)
        certificate.write_bytes(issued.pem)
        return issued, LinkSettings(
            host=self.address.host,
            port=self.address.port,
            client_id=name,
            ca=self.authority.ca,
            certificate=certificate,
            key=key_file,
            session_expiry_s=0,
            clean_start=True,
        )

    async def _lets_in(self, settings: LinkSettings) -> str | None:
        """Return None when the broker accepts a connection, otherwise why not."""
        connection = Connection(settings, _nobody)
        try:
            await connection.open()
        except LinkError as error:
            return str(error)
        finally:
            await connection.close()
        return None

    async def _refuses(self, probe: LinkSettings) -> None:
        try:
            async with asyncio.timeout(PROOF_S):
                while await self._lets_in(probe) is None:  # noqa: ASYNC110 - only the broker knows
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise BrokerControlError(
                Sentence(
                    fr="Le broker accepte encore un certificat révoqué.",
                    en="The broker still accepts a revoked certificate.",
                ),
                hint=Sentence(
                    fr="Vérifier 'crlfile' dans mosquitto.conf et 'enrolment.crl', puis le redémarrer.",
                    en="Check 'crlfile' in mosquitto.conf and 'enrolment.crl', then restart it.",
                ),
            ) from error

    async def _throw_out(self, box: str, folder: Path) -> None:
        """End the connection that has the box's id; that this one gets in also shows that others still do."""
        why = await self._lets_in(self._short_lived(box, folder)[1])
        if why is not None:
            raise _unreachable(self.address, why)


def _block(box: str) -> str:
    return f"# Revoked: {box}\nuser {box}\ntopic deny #\n"


def _deny(acl: Path, box: str) -> None:
    try:
        text = acl.read_text(encoding="utf-8")
        if _block(box) not in text:
            # Added in place: the file keeps its owner and mode, which mosquitto looks at.
            with acl.open("a", encoding="utf-8") as file:
                file.write(("" if text.endswith("\n") else "\n") + "\n" + _block(box))
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(acl, error) from error


def _allow(acl: Path, box: str) -> bool:
    """Take a box's denial out of the access list; return whether it was there."""
    try:
        text = acl.read_text(encoding="utf-8")
        if _block(box) not in text:
            return False
        before = acl.stat()
        write_durably(acl, text.replace("\n" + _block(box), "").encode(), mode=before.st_mode & 0o777)
        if (acl.stat().st_uid, acl.stat().st_gid) != (before.st_uid, before.st_gid):
            shutil.chown(acl, before.st_uid, before.st_gid)
    except OSError as error:
        raise _unwritable(acl, error) from error
    return True


def _nobody(message: Message) -> None:
    del message


def _now() -> int:
    return time.time_ns() // 1_000_000


def _unwritable(path: Path, error: OSError) -> BrokerControlError:
    return BrokerControlError(
        Sentence(
            fr=f"{path} ne peut pas être écrit ({error.strerror}) : le broker n'est pas à jour.",
            en=f"{path} cannot be written ({error.strerror}): the broker is not up to date.",
        ),
        hint=Sentence(
            fr="Donner ce fichier à cet utilisateur, puis relancer la même commande.",
            en="Give that file to this user, then run the same command again.",
        ),
    )


def _not_told(line: str, why: str) -> BrokerControlError:
    return BrokerControlError(
        Sentence(
            fr=f"« {line} » a échoué ({why}) : le broker n'est pas prévenu.",
            en=f"'{line}' failed ({why}): the broker was not told.",
        ),
        hint=Sentence(
            fr="Lui envoyer SIGHUP, puis relancer la même commande.",
            en="Send it SIGHUP, then run the same command again.",
        ),
    )


def _unreachable(address: BrokerAddress, why: str) -> BrokerControlError:
    return BrokerControlError(
        Sentence(
            fr=f"Le broker {address.host}:{address.port} n'a pas pu être vérifié ({why}).",
            en=f"The broker {address.host}:{address.port} could not be checked ({why}).",
        ),
        hint=Sentence(
            fr="Le remettre en marche, puis relancer la même commande.",
            en="Bring it back, then run the same command again.",
        ),
    )

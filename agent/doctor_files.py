"""Files, keys, certificates, disk and database, as `veilleur doctor` looks at them. Nothing is changed."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from agent.database import connect_reading
from agent.doctor_finding import Finding
from agent.errors import StoreError, VaultError
from agent.key_places import open_vault
from agent.settings import Settings
from agent.status import iso
from agent.store_reader import StoreReader
from agent.vault import Vault
from exchange.certificates import issued
from exchange.errors import IdentityError
from exchange.identity import SigningKey, TlsKey, read_team_keys

LOW_BYTES: Final = 512 * 2**20
SOON_MS: Final = 14 * 86_400_000
QUIET_MS: Final = 15 * 60_000
"""How long records may wait without any receipt before that is worth telling."""
_VOLATILE: Final = frozenset({"tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p"})
"""File systems that lose what was synced, or do not keep modes and locks."""


def file_findings(settings: Settings, *, now: int) -> Iterator[Finding]:
    """Yield what is wrong with what lies on the disk; `now` in ms UTC."""
    yield from _state(settings)
    yield from _keys(settings)
    yield from _certificate(settings, now)
    yield from _database(settings, now)


def _state(settings: Settings) -> Iterator[Finding]:
    folder = settings.state
    try:
        mode = folder.stat().st_mode
    except OSError:
        yield Finding.of("state_missing", path=folder)
        return
    if mode & 0o077:
        yield Finding.of("state_open", path=folder)
    kind = _file_system(folder)
    if kind in _VOLATILE:
        yield Finding.of("disk_volatile", path=folder, kind=kind)
    free = shutil.disk_usage(folder).free
    if free < LOW_BYTES:
        yield Finding.of("disk_low", path=folder, mib=free // 2**20)


def _file_system(folder: Path) -> str:
    """Return the kind of the file system that a folder is on, "" where the system does not say."""
    where, found = os.path.realpath(folder), ("", "")
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        # The later of two mounts on one place is the one that is seen.
        inside = where == place or where.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]


def _keys(settings: Settings) -> Iterator[Finding]:
    yield from _key(settings.identity.signing_key, "Ed25519", SigningKey.load)
    yield from _key(settings.broker.key, "TLS", TlsKey.load)
    try:
        read_team_keys(settings.identity.team_keys)
    except IdentityError:
        yield Finding.of("team_unusable", path=settings.identity.team_keys)


def _key(path: Path, key: str, load: Callable[[Path], object]) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError:
        yield Finding.of("key_missing", path=path, key=key)
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding.of("key_open", path=path, key=key)
        return
    try:
        load(path)
    except IdentityError:
        yield Finding.of("key_wrong", path=path, key=key)


def _certificate(settings: Settings, now: int) -> Iterator[Finding]:
    broker = settings.broker
    try:
        facts = issued(broker.certificate, ca=broker.ca)
    except IdentityError:
        yield Finding.of("certificate_unusable", path=broker.certificate, ca=broker.ca)
        return
    if facts.name != settings.box:
        yield Finding.of("certificate_other_box", name=facts.name, box=settings.box)
    try:
        if TlsKey.load(broker.key).public != facts.public:
            yield Finding.of("certificate_other_key")
    except IdentityError:
        # Said of the key already.
        pass
    if now > facts.not_after:
        yield Finding.of("certificate_expired", at=iso(facts.not_after))
    elif now < facts.not_before:
        yield Finding.of("certificate_early", at=iso(facts.not_before))
    elif facts.not_after - now < SOON_MS:
        yield Finding.of("certificate_soon", at=iso(facts.not_after))


def _database(settings: Settings, now: int) -> Iterator[Finding]:
    if not settings.database.exists():
        yield Finding.of("database_absent")
        return
    try:
        vault = open_vault(settings)
    except VaultError as error:
        yield Finding.of_error("vault", error)
        return
    try:
        yield from _file(settings.database)
        yield from _waiting(settings.database, vault, now)
    except VaultError as error:
        yield Finding.of_error("vault", error)
    except StoreError as error:
        if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            yield Finding.of("database_damaged", path=settings.database, said=error.__cause__)
        else:
            yield Finding.of_error("database", error)
    except sqlite3.DatabaseError as error:
        yield Finding.of("database_damaged", path=settings.database, said=error)


def _file(path: Path) -> Iterator[Finding]:
    connection = connect_reading(path)
    try:
        (said,) = connection.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            yield Finding.of("database_damaged", path=path, said=str(said).splitlines()[0])
        (mode,) = connection.execute("pragma journal_mode").fetchone()
        if mode != "wal":
            yield Finding.of("database_not_wal", path=path, said=mode)
    finally:
        connection.close()


def _waiting(path: Path, vault: Vault, now: int) -> Iterator[Finding]:
    store = StoreReader.open(path, vault)
    try:
        waiting = sum(store.outbox.depth().values())
        since = max(at for at in (store.outbox.last_receipt(), store.outbox.waits_since(), 0) if at is not None)
    finally:
        store.close()
    if waiting and now - since > QUIET_MS:
        yield Finding.of("receipts_missing", waiting=waiting, minutes=(now - since) // 60_000)

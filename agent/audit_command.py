"""`veilleur audit`: the box's record of acts, to read, to filter, and as a file for an auditor.

What a tag stands for is shown here as long as it was not erased; in a file only when it is asked for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from agent.audit_beside import enter_beside
from agent.audit_log import AuditLog
from agent.errors import RequestError
from agent.key_places import open_vault
from agent.settings import Settings
from agent.store_reader import StoreReader
from alerting.alert import Sentence
from devices.clock import Clock
from exchange.audit_chain import TEAM_LOG, Act
from exchange.audit_export import Exported, lines
from exchange.audit_show import Wanted, as_json, table


def show(settings: Settings, wanted: Wanted, *, lang: str, json_lines: bool) -> str:
    """Return the acts asked for, as a table or as JSON lines.

    Raises:
        StoreError, VaultError: the database cannot be read with this key.
    """
    with _log(settings) as log:
        entries = wanted.of(log.entries())
        names = {tag: value for tag, (value, _) in log.names().items()}
    if json_lines:
        return "\n".join(as_json(entry, names) for entry in entries)
    return table(entries, names, lang)


def export(settings: Settings, path: Path, clock: Clock, *, names: bool) -> int:
    """Write the whole log for an auditor, mode 0600, and enter that it was; return how many entries.

    Raises:
        RequestError: the file cannot be written.
        StoreError, VaultError: the database cannot be read with this key.
        sqlite3.Error: it cannot be written now.
    """
    enter_beside(settings, clock, Act.LOG_EXPORTED, reference=path.name, detail={"with_names": names})
    with _log(settings) as log, _private_file(path) as file:
        entries = list(log.entries())
        exported = Exported(
            log=settings.box,
            chain=log.chain() or "",
            at=clock.now_ms(),
            program=version("veilleur"),
            entries=entries,
            checkpoints=log.checkpoints(),
            receipts=dict.fromkeys(item.proof for name in (settings.box, TEAM_LOG) for item in log.witnessed(name)),
            names=log.names() if names else {},
        )
        file.writelines(f"{line}\n" for line in lines(exported))
    return len(entries)


@contextmanager
def _log(settings: Settings) -> Iterator[AuditLog]:
    store = StoreReader.open(settings.database, open_vault(settings))
    try:
        yield store.audit
    finally:
        store.close()


@contextmanager
def _private_file(path: Path) -> Iterator[TextIO]:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise RequestError(
            Sentence(
                fr=f"{path} ne peut pas être écrit ({error.strerror}).",
                en=f"{path} cannot be written ({error.strerror}).",
            ),
            Sentence(fr="Choisir un autre dossier.", en="Choose another folder."),
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield file

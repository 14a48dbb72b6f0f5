"""A stopped box, opened by a command in the box's place: with its lock, its key and its store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import RequestError
from agent.key_places import open_vault, settle_key_file
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.state_lock import state_lock
from agent.store import Store
from alerting.alert import Sentence
from devices.clock import SystemClock


@contextmanager
def stopped_settings(config: Path) -> Iterator[Settings]:
    """Hold the state folder of a box that does not run.

    Raises:
        SettingsError: the settings cannot be used.
        StoreError: the box runs.
    """
    settings = read_settings(config)
    with state_lock(settings.state):
        yield settings


@contextmanager
def stopped_box(config: Path) -> Iterator[tuple[Settings, Store, int]]:
    """Open the store of a box that does not run, with its settings and the time (ms UTC).

    Raises:
        RequestError: it never ran.
        SettingsError, VaultError: the settings or the key cannot be used.
        StoreError: the box runs, or its database cannot be used.
    """
    with stopped_settings(config) as settings:
        if not settings.database.exists():
            raise RequestError(
                Sentence(fr=f"{settings.database} n'existe pas.", en=f"{settings.database} does not exist."),
                Sentence(fr="Le boîtier a-t-il déjà démarré ?", en="Has the box been started?"),
            )
        vault, now_ms = open_vault(settings), SystemClock().now_ms()
        store = Store(settings.database, vault, now_ms=now_ms)
        try:
            settle_key_file(settings.vault, vault)
            yield settings, store, now_ms
        finally:
            store.close()

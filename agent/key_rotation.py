"""Changing the box's own key: for its own sake, or to make what was erased unreadable for ever.

The new key is kept where a start finds it before anything is wrapped under it, and the old one is destroyed only after.
A file is changed by the box alone. A systemd credential is changed by whoever may write it: they lay the new one beside
the old one, called `<name>-next`, and the box moves over at its next start.

Every function runs where the open store may be used. Not here: what is wrapped (wrapped_keys) or erased (erasure).
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.erasure import Erased
from agent.errors import RequestError
from agent.key_places import NEXT, destroy_key_file, next_file, put_in_place, write_kek
from agent.quarantine import erase_set_aside
from agent.settings import Settings, VaultSettings
from agent.store import Store
from agent.taken_up import forget_taken_up, taken_up, with_taken_up
from agent.vault import KEY_BYTES
from alerting.alert import Sentence

T = TypeVar("T")


def rotate(store: Store, place: VaultSettings, *, by: str, now_ms: int) -> None:
    """Put every key of an open database under a new key of the box, as `by` wants it, and destroy the old one.

    Raises:
        RequestError: the new credential is not there.
        VaultError: the key file cannot be changed.
    """
    _under_a_new_key(store, place, lambda kek: store.wrap_anew(kek, by=by, now_ms=now_ms))


def erase_patient(store: Store, settings: Settings, patient: str, *, now_ms: int) -> Erased:
    """Erase a patient from the box, see `erasure`; what was set aside of damaged databases goes too.

    Raises:
        RequestError: the patient is still in the settings, unknown, or the new credential is not there.
        StoreError, VaultError: nothing was erased.
    """
    if any(one.pseudonym == patient for one in settings.patients):
        raise RequestError(
            Sentence(
                fr=f"{patient} est encore dans les réglages : le boîtier recommencerait aussitôt.",
                en=f"{patient} is still in the settings: the box would begin again at once.",
            ),
            Sentence(
                fr=f"Retirer {patient} et ses appareils du fichier de réglages, puis recommencer.",
                en=f"Take {patient} and their devices out of the settings file, then try again.",
            ),
        )
    forget_taken_up(store, patient, now_ms=now_ms)
    in_use = frozenset(device.address for device in with_taken_up(settings, taken_up(store)).watched)
    done = _under_a_new_key(
        store, settings.vault, lambda kek: store.erase_patient(patient, kek, in_use=in_use, now_ms=now_ms)
    )
    erase_set_aside(settings.database)
    return done


def erase_box(settings: Settings) -> None:
    """Erase everything that a stopped box keeps of its patients: the key first, so that the rest is noise.

    Raises:
        VaultError: the key file cannot be removed.
    """
    if settings.vault.key_file is not None:
        destroy_key_file(settings.vault.key_file)
    erase_set_aside(settings.database)
    for end in ("-wal", "-shm", ""):
        Path(f"{settings.database}{end}").unlink(missing_ok=True)


def _under_a_new_key(store: Store, place: VaultSettings, change: Callable[[bytes], T]) -> T:
    """Let `change` put everything under the new key; a file takes its name then, and the log is emptied."""
    if place.key_file is None:
        kek = store.next_kek()
        if kek is None:
            raise _no_credential(place.credential or "")
        done = change(kek)
    else:
        kek = secrets.token_bytes(KEY_BYTES)
        write_kek(next_file(place.key_file), kek)
        done = change(kek)
        put_in_place(place.key_file)
    store.empty_log()
    return done


def _no_credential(credential: str) -> RequestError:
    name = credential + NEXT
    command = f"head -c 32 /dev/urandom | systemd-creds encrypt --name={name} - /etc/credstore.encrypted/{name}"
    return RequestError(
        Sentence(
            fr=f"La nouvelle clé n'est pas là : systemd n'a pas fourni « {name} ».",
            en=f"The new key is not there: systemd gave no credential '{name}'.",
        ),
        Sentence(
            fr=f"Faire « {command} », ajouter LoadCredentialEncrypted={name} à l'unité, puis recommencer.",
            en=f"Run '{command}', add LoadCredentialEncrypted={name} to the unit, then try again.",
        ),
    )

"""The MQTT topics, and who may write where.

A box writes only its own `obs`, `alert`, `status` and `cmdack`, and reads only its own `receipt` and `cmd`. The broker
enforces it with patterns on the certificate's common name (configs/broker); the inbox enforces it again by
comparing the topic's box with the signed header.
"""

import re

ROOT = "veilleur/v1"
_BOX = re.compile(r"[a-z0-9][a-z0-9-]{2,47}")

OBSERVATIONS = "obs"
ALERTS = "alert"
STATUS = "status"
RECEIPTS = "receipt"
COMMANDS = "cmd"
COMMAND_ACKS = "cmdack"

WORKERS = "inbox"
"""Name of the shared subscription of the inbox's workers."""


def valid_box(box: str) -> bool:
    """Return whether `box` can be a box id: 3 to 48 of a-z, 0-9 and -, safe inside a topic and a file name."""
    return _BOX.fullmatch(box) is not None


def topic(box: str, channel: str) -> str:
    """Return the topic of one channel of one box."""
    return f"{ROOT}/{box}/{channel}"


def every_box(channel: str) -> str:
    """Return the subscription that covers a channel of every box."""
    return f"{ROOT}/+/{channel}"


def shared(channel: str) -> str:
    """Return the subscription by which the inbox's workers share a channel: each message reaches one of them.

    Never for statuses: what a broker has retained is not delivered to a shared subscription (MQTT 5, 4.8.2).
    """
    return f"$share/{WORKERS}/{every_box(channel)}"


def box_of(topic_name: str) -> str | None:
    """Return the box id in a topic of ours, or None."""
    parts = topic_name.split("/")
    if len(parts) != 4 or "/".join(parts[:2]) != ROOT or not valid_box(parts[2]):
        return None
    return parts[2]

"""Telling systemd that the box is ready and alive (sd_notify(3)); silent where there is no systemd."""

import os
import socket


def notify(state: str) -> None:
    """Send one state such as "READY=1" or "WATCHDOG=1" to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading @ stands for the abstract namespace, whose names begin with a zero byte.
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(target)
        channel.sendall(state.encode())

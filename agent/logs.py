"""The keys that log lines carry, named once; never a value, a name or an identifier of a patient."""

import logging
import sys

EVENT = "event"
DEVICE = "device"
REASON = "reason"
COUNT = "count"
PATIENTS = "patients"
READINGS = "readings"
KERNEL = "kernel"

KEYS = (EVENT, DEVICE, REASON, COUNT, PATIENTS, READINGS, KERNEL)


class KeyedFormatter(logging.Formatter):
    """One line: time, level, sentence, then the keys that the line carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = super().format(record)
        keys = " ".join(f"{key}={value}" for key in KEYS if (value := record.__dict__.get(key)) is not None)
        return f"{line} {keys}" if keys else line


def to_stderr(level: int = logging.INFO) -> None:
    """Send the program's own lines to standard error, where systemd's journal takes them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyedFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("agent", "devices", "alerting", "exchange", "simulators"):
        logging.getLogger(room).setLevel(level)

"""The record that every buffer is given: one reading of a pulse, by its number; imports nothing of ours.

As text it is the telemetry of a device as ThingsBoard's gateway keeps it, with the fields that our box sends of a
reading: about as long for everybody.
"""

import json

BEGAN = 1_763_800_000_000
"""ms UTC of record 0; each is one second after the one before."""
STEP_MS = 1000
DEVICE = "C4:B0:00:00:00:01"
PATIENT = "patient-7f3a"
TOPIC = "peers/records"


def measured_at(number: int) -> int:
    return BEGAN + number * STEP_MS


def count_of(number: int) -> int:
    """Return the value, in tenths of a beat a minute."""
    return 700 + (number * 7919) % 600


def text(number: int) -> str:
    """Return a record as one line of JSON."""
    count = count_of(number)
    values = {
        "patient": PATIENT,
        "quantity": "pulse_rate",
        "count": count,
        "unit": "/min",
        "validity": "valid",
        "clock": "trusted",
        "received_at": measured_at(number) + 40,
        "key": str(measured_at(number)),
        "quality": 0,
        "source": "device",
        "device_value": str(count / 10),
        "device_unit": "/min",
        "frame": count.to_bytes(2, "little").hex(),
    }
    record = {
        "deviceName": DEVICE,
        "deviceType": "pulse_oximeter",
        "telemetry": [{"ts": measured_at(number), "values": values}],
    }
    return json.dumps(record, separators=(",", ":"))


def number_of(record: str | bytes) -> int:
    """Return the number of a record from its text."""
    return number_at(json.loads(record)["telemetry"][0]["ts"])


def number_at(at: int) -> int:
    """Return the number of the record that was measured at `at`, ms UTC."""
    return (at - BEGAN) // STEP_MS

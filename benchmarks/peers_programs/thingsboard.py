# mypy: disable-error-code="import-not-found,import-untyped,attr-defined"
"""A storage of ThingsBoard's IoT gateway, and what empties it, as one process; runs in an environment of its own.

Told safe: `put` returned True, as for the gateway's own connectors. Emptying does what the gateway's sending thread
does: a pack is taken, published at QoS 1 as one message, and given up once that was confirmed. Nothing else of the
gateway runs, and nothing of it is changed.

    python -m benchmarks.peers_programs.thingsboard KIND PORT SETTINGS

KIND is sqlite, file or memory; SETTINGS is the "storage" object of the gateway's file, as JSON.
"""

import json
import logging
import sys
import threading
import time

from paho.mqtt.client import Client, MQTTv311
from thingsboard_gateway.storage.event_storage import EventStorage
from thingsboard_gateway.storage.file.file_event_storage import FileEventStorage
from thingsboard_gateway.storage.memory.memory_event_storage import MemoryEventStorage
from thingsboard_gateway.storage.sqlite.sqlite_event_storage import SQLiteEventStorage
from thingsboard_gateway.tb_utility.tb_logger import TbLogger

from benchmarks.peers_record import TOPIC

KINDS = {"sqlite": SQLiteEventStorage, "file": FileEventStorage, "memory": MemoryEventStorage}
CONFIRM_S = 30.0
PAUSE_S = 0.05


def forward(storage: EventStorage, client: Client, stopped: threading.Event) -> None:
    """Empty the storage whenever there is a link, a pack at a time."""
    while not stopped.is_set():
        if not client.is_connected():
            time.sleep(PAUSE_S)
            continue
        pack = storage.get_event_pack()
        if not pack:
            time.sleep(PAUSE_S)
            continue
        if _published(client, pack):
            storage.event_pack_processing_done()


def _published(client: Client, pack: list[str]) -> bool:
    """Publish a pack and return whether it was confirmed; otherwise the same pack is published again."""
    told = client.publish(TOPIC, "\n".join(pack), qos=1)
    until = time.monotonic() + CONFIRM_S
    while not told.is_published():
        if not client.is_connected() or time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def main() -> None:
    kind, port, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    logging.setLoggerClass(TbLogger)
    logger = logging.getLogger("storage")
    logger.setLevel(logging.CRITICAL)
    stopped = threading.Event()
    storage = KINDS[kind](settings, logger, stopped)
    client = Client(client_id="thingsboard-gateway", clean_session=False, protocol=MQTTv311)
    client.reconnect_delay_set(1, 1)
    client.max_inflight_messages_set(100)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    threading.Thread(target=forward, args=(storage, client, stopped), daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        number, record = line.rstrip("\n").split(" ", 1)
        print(number, int(bool(storage.put(record))), flush=True)
    stopped.set()
    storage.stop()


main()

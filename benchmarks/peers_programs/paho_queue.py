"""paho's own queue of outgoing messages, as one process: what an application has that publishes and does no more.

Told safe: `publish` at QoS 1 returned success, or that there is no connection and the message is queued (paho 2,
`MQTT_ERR_NO_CONN`). There is no setting that keeps the queue on a disk.

    python -m benchmarks.peers_programs.paho_queue PORT
"""

import sys

from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from benchmarks.peers_record import TOPIC

TAKEN = (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN)


def taken(told: MQTTMessageInfo) -> bool:
    return told.rc in TAKEN


def main() -> None:
    client = Client(CallbackAPIVersion.VERSION2, client_id="paho", protocol=MQTTv5)
    client.reconnect_delay_set(1, 1)
    client.max_inflight_messages_set(100)
    # 0: as many as there can be.
    client.max_queued_messages_set(0)
    client.connect_async("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    print("ready", flush=True)
    for line in sys.stdin:
        number, record = line.rstrip("\n").split(" ", 1)
        try:
            safe = taken(client.publish(TOPIC, record, qos=1))
        except ValueError:
            safe = False
        print(number, int(safe), flush=True)
    client.disconnect()
    client.loop_stop()


main()

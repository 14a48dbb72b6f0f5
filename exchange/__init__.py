"""What a box and its coordination team say to each other: messages, sealing, identity, the MQTT link."""

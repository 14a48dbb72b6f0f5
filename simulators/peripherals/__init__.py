"""Virtual Bluetooth devices, one file a device, built on the drivers own encoders."""

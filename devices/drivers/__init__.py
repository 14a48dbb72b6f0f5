"""One file a GATT service or vendor protocol: decode and encode on the same page."""

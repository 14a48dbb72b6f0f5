"""The side of the coordination team: verify, open, store once, receipt."""

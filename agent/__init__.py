"""The box: one reading through, kept, judged, forwarded."""

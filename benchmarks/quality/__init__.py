"""How good the alerts are: what is seen before it happens, how early, and how often for nothing.

Tables, not figures: each row is one way of raising alerts, scored on people that its thresholds never saw.
"""

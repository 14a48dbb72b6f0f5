"""The evaluation export: what the team did and what came of it, for whoever judges whether monitoring is worth it.

Tables under pseudonyms made anew, a dictionary of every column, and a README with every formula: each summed figure can
be computed again from the other tables. `dictionary` is the table of columns; nothing is written that is not in it.
"""

"""The faults of one settings file, gathered so that an installer sees all of them at once."""

from alerting.alert import Sentence


class Faults:
    """Every fault found so far, in both languages."""

    def __init__(self) -> None:
        self.found: list[Sentence] = []

    def add(self, key: str, fr: str, en: str) -> None:
        """Say what is wrong with a key, once."""
        fault = Sentence(fr=f"{key} : {fr}.", en=f"{key}: {en}.")
        if fault not in self.found:
            self.found.append(fault)

"""Somebody followed by questionnaire, as a nurse and a physician make it: over the pages, with real answers."""

import re
from dataclasses import dataclass

from django.test import Client

from coordination.desk.access import Role
from coordination.desk.models import SelfReport
from coordination.link_relay import Relay
from coordination.self_report_worker import Worker
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import PATIENT

DAY = 86_400_000
SHORT_OF_BREATH = {"q-effort": "3", "q-lying": "0", "q-legs": "0", "q-tired": "1"}
WELL = {"q-effort": "1", "q-lying": "0", "q-legs": "0", "q-tired": "0"}
CALM = {"q-interest": "0", "q-down": "1", "q-sleep": "0", "q-thoughts": "0"}


@dataclass
class Followed:
    """One patient under one protocol of answers."""

    desk: Desk
    pseudonym: str = PATIENT

    def __post_init__(self) -> None:
        self.desk.database.commands.boxes()  # opened, and the patient is there
        self.nurse = self.desk.client(Role.NURSE, name="C. Martin")
        self.physician = self.desk.client(Role.PHYSICIAN, name="Dr A. Roux")

    def page(self, act: str = "") -> str:
        return f"/patients/{self.pseudonym}/questionnaires{act}"

    @property
    def seen(self) -> str:
        row = SelfReport.objects.filter(patient__pseudonym=self.pseudonym).first()
        return "-1" if row is None else str(row.version)

    def post(self, who: Client, act: str, **fields: str) -> str:
        answer = who.post(self.page(act), {"vu": self.seen} | fields, follow=True)
        assert answer.status_code == 200, answer.status_code
        return answer.content.decode()

    def begin(self, protocol: str = "heart_failure_symptoms") -> "Followed":
        self.post(self.nurse, "/proposer", protocole=protocol)
        self.post(self.physician, "/confirmer")
        return self

    def link(self) -> str:
        """Let the nurse make a link; return its address on this server."""
        found = re.search(r"http://testserver(/q/[A-Za-z0-9_-]{32})<", self.post(self.nurse, "/lien"))
        assert found is not None
        return found[1]

    def look(self, relay: Relay | None = None) -> None:
        """Let the worker look once."""
        worker = Worker(self.desk.boxes.database, self.desk.clock, relay)
        worker.look()
        worker.close()

    def answer(self, answers: dict[str, str], *, link: str = "") -> str:
        """Let the person answer, on a phone that knows nothing of the desk."""
        return Client(enforce_csrf_checks=True).post(link or self.link(), answers).content.decode()

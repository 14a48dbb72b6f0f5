"""A desk over a fresh database for each test: accounts of each role, clients that are signed in, rows as boxes make."""

import os
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.db import connections
from django.test import Client
from psycopg.conninfo import conninfo_to_dict

from alerting.alert import ChangeKind
from coordination.desk.access import Role
from coordination.desk.models import Alert, Membership, Team, User
from coordination.place import Place
from coordination.sql_database import SqlDatabase
from exchange.messages import Record
from tests.coordination.kit import (
    BOX,
    OTHER_BOX,
    OTHER_PATIENT,
    PATIENT,
    POSTGRESQL,
    START,
    USUAL,
    ManualClock,
    hypo,
    used_database,
)
from tests.coordination.kit import Team as Boxes

PASSWORD = "trois petits chats"
OTHER_TEAM = 2


def without_tokens(page: str) -> str:
    """A page without the random texts of its forms, in which any three letters may stand."""
    return re.sub(r'(name="csrfmiddlewaretoken" value=")[^"]+', r"\1", page)


@dataclass
class Desk:
    """One desk: a team of boxes, its database, its clock."""

    boxes: Boxes
    clock: ManualClock

    def __post_init__(self) -> None:
        self._seq: dict[str, int] = {}

    @cached_property
    def database(self) -> SqlDatabase:
        patients = (USUAL, (OTHER_PATIENT, OTHER_BOX, "2025-11-01T00:00:00Z", "heart_failure"))
        return self.boxes.open_database(self.boxes.settings(*patients), at=START)

    def receive(self, *records: Record, box: str = BOX, at: int | None = None) -> None:
        """Let a box send records, which the inbox keeps."""
        first = self._seq.get(box, 0)
        self._seq[box] = first + len(records)
        envelope = self.boxes.opened(first, records, box=box)
        self.boxes.store(self.database, envelope, at=self.clock.now if at is None else at)

    def alert(self, *, patient: str = PATIENT, onset: int = START) -> Alert:
        """Let a box raise an alert, and return it as the desk reads it."""
        record = hypo(ChangeKind.RAISED, patient=patient, onset=onset)
        self.receive(record, box=BOX if patient == PATIENT else OTHER_BOX)
        return Alert.objects.get(pk=record.alert_id)

    def user(self, *roles: Role, name: str = "", team: int = 1) -> User:
        """Return an account with these roles in a team."""
        name = name or " ".join([*roles, str(team)])
        email = f"{name.lower().replace(' ', '.')}@example.org"
        user = User.objects.filter(email=email).first() or User.objects.create_user(email, name)
        Team.objects.get_or_create(pk=team, defaults={"name": f"Team {team}"})
        for role in roles:
            Membership.objects.get_or_create(user=user, team_id=team, role=role.value)
        return user

    def client(self, *roles: Role, name: str = "", team: int = 1) -> Client:
        """Return a browser of somebody with these roles, signed in; of nobody's without roles."""
        client = Client(enforce_csrf_checks=False)
        if roles:
            client.force_login(self.user(*roles, name=name, team=team))
        return client

    def close(self) -> None:
        if "database" in self.__dict__:
            self.database.close()


def use(database: Place) -> None:
    """Let Django's connection be to this database from now on."""
    connections["default"].close()
    name = str(database) if isinstance(database, Path) else str(conninfo_to_dict(database)["dbname"])
    for settings in (connections.databases["default"], connections["default"].settings_dict):
        settings["NAME"] = name


def fresh(made: Place, place: Path) -> Place:
    """Return a copy of a database that nobody uses: at `place`, or beside it on its server."""
    if isinstance(made, Path):
        shutil.copyfile(made, place)
        return place
    connections["default"].close()
    return used_database(os.environ[POSTGRESQL], template=str(conninfo_to_dict(made)["dbname"]))

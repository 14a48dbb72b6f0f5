"""Fixtures of the desk's tests. Django is set up once a process, here; each test has a database of its own."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from django.conf import settings

from alerting.alert import Sentence
from coordination.desk.site import DeskSite, configure
from coordination.place import Place
from coordination.team_database import connect
from tests.coordination.kit import POSTGRESQL, START, ManualClock, new_database
from tests.coordination.kit import Team as Boxes

_CLOCK = ManualClock()
NOWHERE = Path("/nonexistent/desk.db")

if not settings.configured:
    configure(
        DeskSite(
            database=os.environ.get(POSTGRESQL, NOWHERE),
            secret="of the tests only, " * 4,
            hosts=("testserver", "127.0.0.1", "localhost"),
            https=False,
            clock=_CLOCK,
            identity_key=Path(tempfile.mkdtemp()) / "identity.key",
            reading_hours=Sentence(fr="Alertes lues de 8 h à 20 h.", en="Alerts are read from 8:00 to 20:00."),
            second_factor="offered",
        )
    )

from django.core.management import call_command  # noqa: E402 - Django is set up by now

from tests.coordination.desk.kit import Desk, fresh, use  # noqa: E402


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A database with every table and nothing in them."""
    server = os.environ.get(POSTGRESQL)
    place: Place = tmp_path_factory.mktemp("migrated") / "desk.db" if server is None else new_database(server)
    connect(place).close()
    use(place)
    call_command("migrate", verbosity=0, interactive=False)
    use(NOWHERE)
    return place


@pytest.fixture
def desk(migrated: Place, tmp_path: Path) -> Iterator[Desk]:
    """A desk whose clock stands at START."""
    boxes = Boxes(tmp_path)
    boxes.database = cast("Path", fresh(migrated, tmp_path / "desk.db"))
    use(boxes.database)
    _CLOCK.now = START
    settings.DESK = replace(settings.DESK, exports=tmp_path / "exports")
    made = Desk(boxes, _CLOCK)
    yield made
    made.close()
    use(NOWHERE)

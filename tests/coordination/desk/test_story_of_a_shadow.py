"""A nurse tries a draft in silence: signed by her alone, judged by the box beside, reported, read, ended.

Real programs: the box (`veilleur run`), the inbox, a broker with the shipped access rules, a sensor's telephone in the
home. The pages are asked as a browser would.
"""

import os
from pathlib import Path

import pytest

from coordination.desk.models import Alert
from tests.coordination.desk.fall_kit import dip
from tests.coordination.desk.story_kit import at_home
from tests.coordination.kit import PATIENT, POSTGRESQL
from tests.coordination.kit import Team as Boxes
from tests.coordination.order_kit import PINS, until
from tests.exchange.office import NURSE

pytestmark = [
    pytest.mark.broker,
    pytest.mark.process,
    pytest.mark.skipif(POSTGRESQL in os.environ, reason="the programs of this story are told of a file"),
]

SOON = (
    "import agent.shadow_reports as reports; reports.LONGEST_NAP_S, reports.EVERY_MS = 0.2, 0;"
    "from agent.clock_trust import LinuxTime; LinuxTime.synchronised = lambda self: True;"
)
NOW = f"{SOON}from agent.cli import main; main()"
LATER = (
    f"{SOON}right = LinuxTime.wall_ms; LinuxTime.wall_ms = lambda self: right(self) + 4 * 3_600_000;"
    "LinuxTime.boot = lambda self: 'cd' * 16;"
    "from agent.cli import main; main()"
)
"""The same box four hours later, started anew: what was measured meanwhile is the shadow's to judge as well."""


def test_a_draft_is_tried_beside_and_the_nurse_reads_what_it_would_have_told(tmp_path: Path, team: Boxes) -> None:
    with at_home(tmp_path, team) as life, life.home.running_inbox():
        with life.home.running_box(NOW):
            pages = life.pages()
            pages.post(NURSE, "commencer", pack="diabetes_cgm")
            pages.post(NURSE, "modifier", **{"v.hypo_level_1.threshold": "66"})
            applied = life.home.status()["protocol_hashes"][PATIENT]
            assert "Mode ombre demandé" in pages.post(NURSE, "ombre", code=PINS[NURSE])
            until(lambda: "À l&#39;essai sur le boîtier" in pages.shown())
            until(lambda: "Compté du" in pages.shown())
            status = life.home.status()
            assert status["protocol_hashes"][PATIENT] == applied
            assert status["shadows"][PATIENT]["since"] is not None
            assert status["ordered_protocols"] == {}
        # A fall that the protocol applied tells and the draft does not.
        life.phone.values += dip(life.now, -10, 68.0)
        with life.home.running_box(LATER):
            until(lambda: Alert.objects.filter(rule_id="hypo_level_1").exists())
            until(lambda: "Seulement par le protocole appliqué (1)" in pages.shown())
            assert "Seulement en mode ombre" not in pages.shown()
            pages.post(NURSE, "ombre/fin", code=PINS[NURSE])
            until(lambda: "Terminé le" in pages.shown())
            page = pages.shown()
            assert "Seulement par le protocole appliqué (1)" in page
            assert "Terminer le mode ombre" not in page
            status = life.home.status()
            assert status["shadows"] == {}
            assert status["protocol_hashes"][PATIENT] == applied

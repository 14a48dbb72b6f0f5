"""A patient is erased, at the team and at home: two people sign on the desk's pages, the box refuses, then obeys.

Real programs, as in the story of a protocol: the box, the inbox, a broker with the shipped access rules.
"""

import os
import re
from pathlib import Path

import pytest

from coordination.desk.models import Patient
from tests.coordination.desk.fall_kit import dip, earlier
from tests.coordination.desk.story_kit import Pages, at_home
from tests.coordination.desk.test_erasure import dump, found_in
from tests.coordination.kit import PATIENT, POSTGRESQL
from tests.coordination.kit import Team as Boxes
from tests.coordination.order_kit import PINS, TeamAndBox, until
from tests.exchange.office import NURSE, PHYSICIAN

pytestmark = [
    pytest.mark.broker,
    pytest.mark.process,
    pytest.mark.skipif(POSTGRESQL in os.environ, reason="the programs of this story are told of a file"),
]


class Erasing:
    """The erasure on a patient's file, as people see it."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    def pressed(self, name: str, **values: str) -> str:
        form = {"pseudonyme": PATIENT, **values}
        answer = self.pages.clients[name].post(f"/patients/{PATIENT}/effacer", form, follow=True)
        return str(answer.content.decode())

    def shown(self) -> str:
        return str(self.pages.clients[NURSE].get(f"/patients/{PATIENT}/dossier").content.decode())

    def ordered(self) -> None:
        assert "signé par vous ; un médecin" in self.pressed(NURSE, code=PINS[NURSE])
        assert "signé par vous et parti" in self.pressed(PHYSICIAN, code=PINS[PHYSICIAN])


def kept_at_home(world: TeamAndBox) -> bool:
    """Whether the box says that it judges anything of the patient."""
    return PATIENT in world.status()["protocol_hashes"]


def test_two_people_at_the_desk_erase_a_patient_from_a_real_box_and_then_from_the_team(
    tmp_path: Path, team: Boxes
) -> None:
    with at_home(tmp_path, team) as life:
        agent = life.home.box / "agent.toml"
        text = re.sub(r"(?s)\n\[\[relays\]\].*", "\n", agent.read_text(encoding="utf-8"))
        with life.home.running_box(earlier(6)):
            pass
        life.phone.values += dip(life.now, 300, 68.0)
        with life.home.running_inbox():
            with life.home.running_box():
                until(lambda: "hypo_level_1" in life.home.desk_command("alerts", "--json").output)
                pages = life.pages()
                erasing = Erasing(pages)
                pages.clients[NURSE].post(f"/patients/{PATIENT}/terminer", {"confirmer": "oui"})
                erasing.ordered()
                # Its settings still name them: it would begin again at once.
                until(lambda: "a refusé l&#39;ordre" in erasing.shown())
                assert f"{PATIENT} est encore dans les réglages" in erasing.shown()
            # Unplugged, the patient taken out of its settings, and told anew.
            left = re.sub(rf'(?s)\[\[patients\]\]\npseudonym = "{PATIENT}".*?(?=\[\[patients\]\])', "", text)
            assert f'pseudonym = "{PATIENT}"' not in left
            agent.write_text(left, encoding="utf-8")
            erasing.ordered()
            until(lambda: "Boîtier injoignable" in erasing.shown())
            with life.home.running_box():
                until(lambda: "✓ a confirmé l&#39;effacement" in erasing.shown())
                assert not kept_at_home(life.home)
        assert "alertes détruites" in erasing.pressed(NURSE)
        assert not Patient.objects.filter(pseudonym=PATIENT).exists()
        assert found_in(dump(), PATIENT) == []

"""A nurse's path: an alert, taken; the protocol adapted, tried, signed by two, applied by the box; the next one obeys.

Real programs: the box (`veilleur run`), the inbox, a broker with the shipped access rules, a sensor's telephone in the
home that the box asks over HTTP. The pages are asked as a browser would.
"""

import os
from pathlib import Path

import pytest

from coordination.desk.models import Alert, ProtocolDraft
from tests.coordination.desk.fall_kit import dip, earlier
from tests.coordination.desk.story_kit import at_home
from tests.coordination.desk.workshop_kit import packaged, worked
from tests.coordination.kit import MINUTE, PATIENT, POSTGRESQL
from tests.coordination.kit import Team as Boxes
from tests.coordination.order_kit import PINS, until
from tests.exchange.office import NURSE, PHYSICIAN

pytestmark = [
    pytest.mark.broker,
    pytest.mark.process,
    pytest.mark.skipif(POSTGRESQL in os.environ, reason="a browser walks it there: test_path_of_a_protocol"),
]


def hypos() -> list[Alert]:
    return list(Alert.objects.filter(rule_id="hypo_level_1").order_by("onset"))


def test_an_alert_leads_to_a_protocol_that_the_next_one_obeys(tmp_path: Path, team: Boxes) -> None:
    with at_home(tmp_path, team) as life:
        with life.home.running_box(earlier(6)):
            pass
        life.phone.values += dip(life.now, 300, 68.0)
        with life.home.running_inbox():
            with life.home.running_box():
                until(lambda: "hypo_level_1" in life.home.desk_command("alerts", "--json").output)
                pages = life.pages()
                (first,) = hypos()
                known = packaged("diabetes_cgm")
                assert first.protocol_hash == known.protocol_hash
                nurse = pages.clients[NURSE]
                nurse.post(f"/alertes/{first.pk}/prendre", {"vu": first.handled})
                first.refresh_from_db()
                assert first.holder == NURSE
                pages.post(NURSE, "commencer", pack="diabetes_cgm")
                pages.post(NURSE, "modifier", **{"v.hypo_level_1.threshold": "66"}, rejouer="1", jours="28")
                assert worked(pages.desk).state == "done"
                assert "plus dite" in pages.shown() or "seulement aujourd&#39;hui" in pages.shown()
                pages.post(NURSE, "proposer")
                pages.post(NURSE, "signer", code=PINS[NURSE])
                assert "Signé par vous" in pages.post(PHYSICIAN, "contresigner", code=PINS[PHYSICIAN])
                assert "En file" in pages.post(NURSE, "envoyer")
                until(lambda: "Appliqué le" in pages.shown())
                draft = ProtocolDraft.objects.get()
                page = pages.shown()
                assert f"{draft.protocol_hash[:12]}</span> (la même)" in page
                assert life.home.status()["protocol_hashes"][PATIENT] == draft.protocol_hash
            # The same fall again, and a deeper one: the first is none any more, the second is one.
            life.phone.values += dip(life.now, 200, 68.0) + dip(life.now, 100, 64.0)
            with life.home.running_box():
                until(lambda: len(hypos()) > 1)
            (_, next_one) = hypos()
            assert next_one.protocol_version == known.version + 1
            assert next_one.protocol_hash == draft.protocol_hash
            assert next_one.onset > life.now - 100 * MINUTE

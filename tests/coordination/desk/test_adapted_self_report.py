"""Thresholds of a follow-up by questionnaire, over the pages: within the physician's limits, and by two people."""

import pytest

from coordination.desk.access import Role
from coordination.desk.models import Alert, SelfReport
from exchange.audit_chain import Act
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.self_report_kit import DAY, SHORT_OF_BREATH, WELL, Followed
from tests.coordination.kit import PATIENT, START, rows

PACK = "heart_failure_symptoms"
LYING = {"v.orthopnoea_marked.threshold": "1", "v.orthopnoea_marked.end_threshold": "1"}
GRAVER = {"v.orthopnoea_marked.threshold": "3", "v.orthopnoea_marked.end_threshold": "3"}
ONE_PILLOW = WELL | {"q-lying": "1"}


def acts(desk: Desk) -> list[str]:
    found = rows(desk.boxes.database, "SELECT act FROM audit ORDER BY n")
    return [str(act) for (act,) in found if str(act).startswith("self_report")]


def test_a_nurse_adapts_what_she_proposes_and_the_physician_reads_what_differs(desk: Desk) -> None:
    followed = Followed(desk)
    page = followed.nurse.get(f"{followed.page()}?suivi={PACK}").content.decode()
    assert "permis : de 1 à 3" in page
    assert 'name="v.orthopnoea_marked.threshold" value="2"' in page
    assert "functional class of the New York Heart Association" in page, "what will be asked is read before"
    followed.post(followed.nurse, "/proposer", protocole=PACK, **LYING)
    page = followed.physician.get(followed.page()).content.decode()
    assert "Dans le parcours" in page
    proposed = page[page.index("Ce qui est proposé") : page.index("Réponses")]
    assert "Gêne pour respirer couché" in proposed
    assert "<b>1 point</b>" in proposed
    followed.post(followed.physician, "/confirmer")
    followed.answer(ONE_PILLOW)
    assert Alert.objects.get(origin="team").rule_id == "orthopnoea_marked"


def test_what_is_proposed_as_it_ships_differs_in_nothing(desk: Desk) -> None:
    followed = Followed(desk)
    followed.post(followed.nurse, "/proposer", protocole=PACK)
    assert "Ce qui est proposé" not in followed.physician.get(followed.page()).content.decode()


def test_thresholds_under_way_change_once_another_person_confirms_them_and_what_stands_goes_on(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.answer(ONE_PILLOW | {"q-effort": "3"})
    alert = Alert.objects.get(origin="team")
    assert alert.rule_id == "dyspnoea_marked"
    page = followed.nurse.get(followed.page()).content.decode()
    assert f"?suivi={PACK}#seuils" in page
    assert "actuel 2" in followed.nurse.get(f"{followed.page()}?suivi={PACK}").content.decode()
    desk.clock.now += DAY
    followed.post(followed.nurse, "/adapter", protocole=PACK, **LYING)
    page = followed.nurse.get(followed.page()).content.decode()
    assert "Une autre personne doit confirmer" in page
    assert "seuils à confirmer par un médecin" in followed.nurse.get("/parcours").content.decode()
    assert "D&#39;autres seuils sont proposés" in followed.physician.get(f"/patients/{PATIENT}").content.decode()
    assert followed.nurse.post(followed.page("/confirmer"), {"vu": followed.seen}).status_code == 403
    followed.look()
    assert Alert.objects.filter(origin="team").count() == 1, "proposed thresholds judge nothing"
    page = followed.physician.get(followed.page()).content.decode()
    assert "Confirmer ces seuils" in page
    assert "Aujourd&#39;hui" in page
    followed.post(followed.physician, "/confirmer")
    followed.look()
    told = {one.rule_id: one for one in Alert.objects.filter(origin="team")}
    assert set(told) == {"dyspnoea_marked", "orthopnoea_marked"}
    assert told["dyspnoea_marked"].pk == alert.pk
    assert told["dyspnoea_marked"].resolved_at is None
    assert told["orthopnoea_marked"].raised_at == START + DAY, "raised when the threshold began to hold"
    row = SelfReport.objects.get()
    assert (row.proposed_by, row.confirmed_by, row.since, row.change_text) == ("C. Martin", "Dr A. Roux", START, "")
    assert acts(desk) == [
        Act.SELF_REPORT_PROPOSED,
        Act.SELF_REPORT_BEGUN,
        Act.SELF_REPORT_PROPOSED,
        Act.SELF_REPORT_ADAPTED,
    ]


def test_an_alert_that_is_none_by_the_new_thresholds_is_ended_and_says_so(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.answer(WELL | {"q-lying": "2"})
    followed.post(followed.nurse, "/adapter", protocole=PACK, **GRAVER)
    followed.post(followed.physician, "/confirmer")
    followed.look()
    alert = Alert.objects.get(origin="team")
    assert alert.resolved_at == desk.clock.now
    assert "ne vaut plus selon le protocole appliqué maintenant" in alert.text_fr


def test_nobody_confirms_thresholds_of_their_own_or_others_than_they_saw(desk: Desk) -> None:
    followed = Followed(desk).begin()
    both = desk.client(Role.NURSE, Role.PHYSICIAN, name="Dr B. Blanc")
    followed.post(both, "/adapter", protocole=PACK, **LYING)
    assert "Rien n&#39;a été changé" in followed.post(both, "/confirmer")
    seen = followed.seen
    followed.post(followed.nurse, "/adapter", protocole=PACK, **GRAVER)
    answer = followed.physician.post(followed.page("/confirmer"), {"vu": seen}, follow=True).content.decode()
    assert "Rien n&#39;a été changé" in answer, "it is another proposal by now"
    row = SelfReport.objects.get()
    assert (row.change_by, row.protocol_hash == row.change_hash) == ("C. Martin", False)


def test_thresholds_that_were_withdrawn_judge_nothing(desk: Desk) -> None:
    followed = Followed(desk).begin()
    before = SelfReport.objects.get().protocol_hash
    followed.post(followed.nurse, "/adapter", protocole=PACK, **LYING)
    assert "les seuils d&#39;aujourd&#39;hui restent" in followed.post(followed.nurse, "/retirer")
    assert "Rien n&#39;a été changé" in followed.post(followed.physician, "/confirmer")
    assert "Rien n&#39;a été changé" in followed.post(followed.nurse, "/retirer")
    followed.answer(ONE_PILLOW)
    assert not Alert.objects.filter(origin="team").exists()
    assert SelfReport.objects.get().protocol_hash == before
    assert acts(desk)[-1] == Act.SELF_REPORT_WITHDRAWN


def test_thresholds_proposed_for_what_is_ended_wait_for_nobody(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.post(followed.nurse, "/adapter", protocole=PACK, **LYING)
    followed.post(followed.nurse, "/arreter")
    assert "Rien n&#39;a été changé" in followed.post(followed.physician, "/confirmer")
    assert "sont proposés" not in followed.physician.get(f"/patients/{PATIENT}").content.decode()
    assert SelfReport.objects.get().change_text == ""


def test_the_limits_and_thresholds_of_the_teams_physician_hold(desk: Desk) -> None:
    followed = Followed(desk)
    limits = {"b.v.orthopnoea_marked.threshold": "2", "h.v.orthopnoea_marked.threshold": "3"}
    done = followed.physician.post(f"/parcours/{PACK}/limites", {"vu": "0"} | limits, follow=True).content.decode()
    assert "vaut pour les prochains projets" in done
    assert "permis : de 2 à 3" in followed.nurse.get(f"{followed.page()}?suivi={PACK}").content.decode()
    page = followed.post(followed.nurse, "/proposer", protocole=PACK, **LYING)
    assert "Pas proposé" in page
    assert 'aria-invalid="true"' in page
    assert 'name="v.orthopnoea_marked.threshold" value="1"' in page, "what was typed is still there"
    assert not SelfReport.objects.exists()


def test_a_pathway_of_the_teams_own_follows_too(desk: Desk) -> None:
    followed = Followed(desk)
    fields = {"nom": "frail", "titre": "Personnes fragiles", "titre_en": "Frail people", "vu": "0"}
    followed.physician.post(f"/parcours/{PACK}/copier", fields, follow=True)
    assert "Personnes fragiles" in followed.nurse.get(followed.page()).content.decode()
    followed.begin("frail")
    followed.answer(SHORT_OF_BREATH)
    assert Alert.objects.get(origin="team").protocol == "frail"
    followed.post(followed.nurse, "/adapter", protocole="frail", **LYING)
    assert SelfReport.objects.get().change_by == "C. Martin"


def test_a_follow_up_is_adapted_to_no_other_pathway(desk: Desk) -> None:
    followed = Followed(desk).begin()
    page = followed.nurse.get(f"{followed.page()}?suivi=mood_follow_up").content.decode()
    assert "Seuils à proposer" not in page
    followed.post(followed.nurse, "/adapter", protocole="mood_follow_up", **{"v.mood_low.threshold": "4"})
    assert SelfReport.objects.get().change_text == ""


@pytest.mark.parametrize("typed", ["", "x", "1; DROP", "9" * 400, "-1", "<b>1</b>", "1e3", "\x00", "١"])
def test_what_is_no_threshold_is_told_and_proposes_nothing(desk: Desk, typed: str) -> None:
    followed = Followed(desk).begin()
    page = followed.post(followed.nurse, "/adapter", protocole=PACK, **{"v.orthopnoea_marked.threshold": typed})
    assert "Écrire un nombre" in page or "Pas proposé" in page
    assert "<b>1</b>" not in page
    assert SelfReport.objects.get().change_text == ""


def test_nothing_typed_proposes_nothing(desk: Desk) -> None:
    followed = Followed(desk).begin()
    assert "Aucun seuil n&#39;a été changé" in followed.post(followed.nurse, "/adapter", protocole=PACK)
    assert SelfReport.objects.get().change_text == ""


def test_another_team_adapts_and_withdraws_nothing(desk: Desk) -> None:
    followed = Followed(desk).begin()
    stranger = desk.client(Role.NURSE, Role.PHYSICIAN, team=2)
    for act in ("/adapter", "/retirer"):
        assert stranger.post(followed.page(act), {"vu": followed.seen, "protocole": PACK} | LYING).status_code == 404
    assert SelfReport.objects.get().version == 1

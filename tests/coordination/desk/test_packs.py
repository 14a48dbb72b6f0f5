"""The packs of a team: which ship, what a physician allows a nurse, and who is first."""

import tomllib
from pathlib import Path

import pytest

from coordination.desk.access import Role
from coordination.desk.models import PackVersion
from coordination.desk.shared_database import looking
from coordination.protocol_sources import pack_bytes, packaged_protocols
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.workshop_kit import ADDRESS, begun, changed, draft_of, watched

PACK = "/parcours/heart_failure"


def limits(**values: str) -> dict[str, str]:
    """A form of limits as a browser sends it: `rule__key="low high"`."""
    sent = {}
    for name, ends in values.items():
        low, high = ends.split()
        sent |= {f"b.v.{name.replace('__', '.')}": low, f"h.v.{name.replace('__', '.')}": high}
    return sent


def test_what_ships_is_there_for_nurses_to_read_and_for_physicians_to_limit(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    nurse, physician = desk.client(Role.NURSE), desk.client(Role.PHYSICIAN)
    assert "Insuffisance cardiaque, poids et tension" in nurse.get("/parcours").content.decode()
    assert "Enregistrer les limites" not in nurse.get(PACK).content.decode()
    assert "Enregistrer les limites" in physician.get(PACK).content.decode()
    assert nurse.post(f"{PACK}/limites", {"vu": "0", **limits(weight_gain_3_days__delta="1,0 3,0")}).status_code == 403
    assert not PackVersion.objects.exists()
    assert nurse.get("/parcours/no_such_pack").status_code == 404


def test_a_nurse_may_set_what_a_physician_came_to_allow(desk: Desk) -> None:
    watched(desk, days=0)
    nurse, physician = desk.client(Role.NURSE), desk.client(Role.PHYSICIAN, name="Dr Claire Petit")
    begun(nurse)
    assert changed(nurse, weight_gain_3_days__delta="1,2", weight_gain_3_days__end_delta="0,9") == 200
    sent = {"vu": "0", **limits(weight_gain_3_days__delta="1,0 3,0")}
    assert physician.post(f"{PACK}/limites", sent).status_code == 302
    assert changed(nurse, weight_gain_3_days__delta="1,2", weight_gain_3_days__end_delta="0,9") == 302
    page = nurse.get(ADDRESS).content.decode()
    assert "permis : de 1,0 à 3,0 · actuel 2,0" in page
    assert "limites fixées par Dr Claire Petit" in page
    assert "1.2 kg" in draft_of().text


def test_what_a_physician_changes_is_an_act_of_theirs(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    sent = {"vu": "0", **limits(weight_gain_3_days__delta="1,0 3,0")}
    desk.client(Role.PHYSICIAN, name="Dr Claire Petit").post(f"{PACK}/limites", sent)
    acts = looking().execute("SELECT body FROM audit WHERE act = 'pack_changed'").fetchall()
    assert len(acts) == 1
    assert "Dr Claire Petit" in str(acts[0][0])


def test_another_team_keeps_the_limits_that_ship(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    sent = {"vu": "0", **limits(weight_gain_3_days__delta="1,0 3,0")}
    desk.client(Role.PHYSICIAN).post(f"{PACK}/limites", sent)
    other = desk.client(Role.PHYSICIAN, team=2).get(PACK).content.decode()
    assert "tel que livré" in other
    assert 'name="b.v.weight_gain_3_days.delta" value="1,5"' in other


def test_limits_that_the_packs_own_value_breaks_are_not_kept(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    physician = desk.client(Role.PHYSICIAN)
    sent = {"vu": "0", **limits(weight_gain_3_days__delta="2,5 3,0")}
    page = physician.post(f"{PACK}/limites", sent).content.decode()
    assert "hors des limites" in page
    assert 'value="2,5"' in page
    page = physician.post(
        f"{PACK}/limites", {"vu": "0", **limits(weight_gain_3_days__delta="un trois")}
    ).content.decode()
    assert "Écrire deux nombres" in page
    assert not PackVersion.objects.exists()


def test_of_two_physicians_one_is_told(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    first, second = desk.client(Role.PHYSICIAN, name="Dr A"), desk.client(Role.PHYSICIAN, name="Dr B")
    first.post(f"{PACK}/limites", {"vu": "0", **limits(weight_gain_3_days__delta="1,0 3,0")})
    page = second.post(f"{PACK}/limites", {"vu": "0", **limits(weight_gain_3_days__delta="1,7 3,0")}).content.decode()
    assert "vient d&#39;être changé par quelqu&#39;un d&#39;autre" in page
    assert list(PackVersion.objects.values_list("by", "version")) == [("Dr A", 1)]


def test_a_pack_that_inherits_another_can_be_limited_beyond_it(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    physician = desk.client(Role.PHYSICIAN)
    page = physician.get("/parcours/diabetes_cgm_frail").content.decode()
    assert "b.v.hypo_level_1.threshold" in page
    sent = {"vu": "0", **limits(hypo_level_1__threshold="60 110")}
    assert physician.post("/parcours/diabetes_cgm_frail/limites", sent).status_code == 302
    page = physician.get("/parcours/diabetes_cgm_frail").content.decode()
    assert 'name="h.v.hypo_level_1.threshold" value="110"' in page


def test_a_physician_writes_a_pack_and_faults_are_shown(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    physician = desk.client(Role.PHYSICIAN)
    page = physician.post(f"{PACK}/texte", {"vu": "0", "texte": "schema = 1\n"}).content.decode()
    assert 'role="alert"' in page
    own = packaged_text("heart_failure").replace("Insuffisance cardiaque, poids et tension", "Nôtre")
    assert physician.post(f"{PACK}/texte", {"vu": "0", "texte": own}).status_code == 302
    assert "Nôtre" in desk.client(Role.NURSE).get("/parcours").content.decode()


def test_a_pack_that_would_inherit_itself_by_way_of_another_is_refused(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    assert 'pack = "heart_failure"' in packaged_text("heart_failure_oximeter")
    own = 'schema = 1\nname = "ours"\nversion = 1\npack = "heart_failure_oximeter"\ntitle = { fr = "A", en = "B" }\n'
    page = desk.client(Role.PHYSICIAN).post(f"{PACK}/texte", {"vu": "0", "texte": own}).content.decode()
    assert "hérite de lui-même" in page
    assert not PackVersion.objects.exists()


def test_limits_that_would_break_a_pack_that_inherits_are_refused_and_name_it(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    # The pack for frail people sets four hours.
    sent = {"vu": "0", **limits(hyper_prolonged__window="2 3")}
    page = desk.client(Role.PHYSICIAN).post("/parcours/diabetes_cgm/limites", sent).content.decode()
    assert "Le parcours diabetes_cgm_frail hérite de celui-ci" in page
    assert not PackVersion.objects.exists()


COPY = {"nom": "coeur_nuit", "titre": 'Cœur, « nuit » "\\', "titre_en": "Heart, at night"}


def test_a_physician_makes_a_pack_from_another_and_sets_its_limits_alone(desk: Desk) -> None:
    watched(desk, days=0)
    nurse, physician = desk.client(Role.NURSE), desk.client(Role.PHYSICIAN, name="Dr Claire Petit")
    assert "Faire un autre parcours" in physician.get(PACK).content.decode()
    page = physician.post(f"{PACK}/copier", COPY, follow=True)
    assert page.redirect_chain[-1][0] == "/parcours/coeur_nuit"
    assert "version 1 de l&#39;équipe, par Dr Claire Petit" in page.content.decode()
    (made,) = PackVersion.objects.all()
    # Its comments, with the sources of each threshold, are there too.
    assert made.text.count("#") == packaged_text("heart_failure").count("#")
    changed_lines = set(made.text.splitlines()) ^ set(packaged_text("heart_failure").splitlines())
    assert len(changed_lines) == 6
    sent = {"vu": "1", **limits(weight_gain_3_days__delta="1,0 3,0")}
    assert physician.post("/parcours/coeur_nuit/limites", sent).status_code == 302
    assert 'value="1,0"' in physician.get("/parcours/coeur_nuit").content.decode()
    assert 'name="b.v.weight_gain_3_days.delta" value="1,5"' in physician.get(PACK).content.decode()
    # A nurse drafts with it from then on.
    assert "Cœur, « nuit »" in nurse.get("/parcours").content.decode()
    assert "coeur_nuit" in nurse.get(ADDRESS).content.decode()
    assert nurse.post(f"{ADDRESS}/commencer", {"pack": "coeur_nuit"}).status_code == 302
    assert 'pack = "coeur_nuit"' in draft_of().text
    acts = looking().execute("SELECT body FROM audit WHERE act = 'pack_changed' ORDER BY n").fetchall()
    assert "heart_failure" in str(acts[0][0])


@pytest.mark.parametrize("pack", packaged_protocols())
def test_every_pack_that_ships_can_be_copied(desk: Desk, pack: str) -> None:
    desk.database  # noqa: B018 - makes the team
    physician = desk.client(Role.PHYSICIAN)
    assert physician.post(f"/parcours/{pack}/copier", COPY).status_code == 302
    (made,) = PackVersion.objects.all()
    before, after = tomllib.loads(packaged_text(pack)), tomllib.loads(made.text)
    head = {"name": "coeur_nuit", "version": 1, "title": {"fr": COPY["titre"], "en": COPY["titre_en"]}}
    assert after == before | head
    assert made.text.count("#") == packaged_text(pack).count("#")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("nom", "", "De 2 à 48 lettres"),
        ("nom", "Cœur", "De 2 à 48 lettres"),
        ("nom", "a" * 49, "De 2 à 48 lettres"),
        ("nom", "../etc", "De 2 à 48 lettres"),
        ("nom", "a\x00b", "De 2 à 48 lettres"),
        ("nom", "heart_failure", "Un parcours s&#39;appelle déjà heart_failure. Choisir un autre nom."),
        ("titre", " ", "Dire en 1 à 120 caractères"),
        ("titre", "x" * 121, "Dire en 1 à 120 caractères"),
        ("titre", "a\nb", "Dire en 1 à 120 caractères"),
        ("titre", "Insuffisance cardiaque, poids et tension", "en donner un qui l&#39;en distingue"),
        ("titre_en", "Heart failure, weight and blood pressure", "en donner un qui l&#39;en distingue"),
    ],
)
def test_what_is_typed_of_a_new_pack_is_checked_in_words_and_kept_in_the_form(
    desk: Desk, field: str, value: str, words: str
) -> None:
    desk.database  # noqa: B018 - makes the team
    answer = desk.client(Role.PHYSICIAN).post(f"{PACK}/copier", COPY | {field: value})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    kept = "titre_en" if field != "titre_en" else "nom"
    assert f'value="{COPY[kept]}"' in answer.content.decode()
    assert not PackVersion.objects.exists()


def test_of_two_packs_of_one_name_the_second_is_refused_and_another_team_has_neither(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    physician = desk.client(Role.PHYSICIAN)
    physician.post(f"{PACK}/copier", COPY)
    page = physician.post("/parcours/diabetes_cgm/copier", COPY).content.decode()
    assert "Un parcours s&#39;appelle déjà coeur_nuit." in page
    assert PackVersion.objects.count() == 1
    assert desk.client(Role.PHYSICIAN, team=2).get("/parcours/coeur_nuit").status_code == 404


@pytest.mark.parametrize("role", list(Role))
def test_only_a_physician_makes_packs(desk: Desk, role: Role) -> None:
    desk.database  # noqa: B018 - makes the team
    client = desk.client(role)
    assert client.post(f"{PACK}/copier", COPY).status_code == (302 if role is Role.PHYSICIAN else 403)
    assert PackVersion.objects.exists() == (role is Role.PHYSICIAN)
    assert ("Faire un autre parcours" in client.get(PACK).content.decode()) == (role is Role.PHYSICIAN)


def test_it_is_made_in_english_too(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team
    physician = desk.client(Role.PHYSICIAN)
    physician.get("/langue/en")
    assert "Make another pathway from this one" in physician.get(PACK).content.decode()
    assert "2 to 48 small letters" in physician.post(f"{PACK}/copier", COPY | {"nom": "É"}).content.decode()


def packaged_text(name: str) -> str:
    """The text of a pack that ships."""
    return pack_bytes(name, Path("/nonexistent")).decode()

"""Taking a patient on at the desk, giving a box, and what the running inbox makes of it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from coordination.database import Moment
from coordination.desk.access import Role
from coordination.desk.models import Alert, Box, BoxAssignment, Observation, Patient
from coordination.errors import CoordinationError
from coordination.patient_acts import PSEUDONYM, RESERVED, new_pseudonym
from coordination.silence import NOT_TRANSMITTED, Watch
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.readings_kit import DAY, packaged, weights
from tests.coordination.kit import BOX, HOUR, OTHER_BOX, PATIENT, START, glucose

NAME = "cedre-417"


def there(at: int, shift: int = 1) -> str:
    """A time as a form has it, by the clock of Paris in winter."""
    return datetime.fromtimestamp(at / 1000 + shift * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def take_on(
    desk: Desk, name: str = NAME, box: str = "", since: int = START, typed: Mapping[str, str] = MappingProxyType({})
) -> int:
    _ = desk.database
    fields = {
        "pseudonym": name,
        "pathway": "heart_failure",
        "time_zone": "Europe/Paris",
        "box": str(Box.objects.get(name=box).pk) if box else "",
        "since": there(since),
    }
    return desk.client(Role.NURSE, name="C. Martin").post("/patients/nouveau", {**fields, **typed}).status_code


def test_a_patient_taken_on_at_the_desk_is_received_and_watched_without_a_restart(desk: Desk) -> None:
    inbox = desk.database
    assert take_on(desk, box=BOX) == 302
    weights(desk, 0, now=START + HOUR, patient=NAME)
    assert Observation.objects.filter(patient__pseudonym=NAME).count() == 1
    followed = inbox.protocols_at_desk()
    assert followed[NAME].protocol_hash == packaged("heart_failure").protocol_hash
    watch = Watch({**followed, **desk.boxes.settings().protocols})
    for hours in range(60):
        inbox.watch(watch.judge, moment=Moment(at=START + hours * HOUR, fresh=HOUR))
    alert = Alert.objects.get(rule_id=NOT_TRANSMITTED, patient__pseudonym=NAME)
    assert (alert.protocol, alert.state) == ("heart_failure", 0)


def test_a_pathway_that_a_physician_made_is_offered_to_the_team_and_judges_who_is_taken_on(desk: Desk) -> None:
    _ = desk.database
    made = {"nom": "coeur_nuit", "titre": "Cœur, la nuit", "titre_en": "Heart, at night"}
    physician = desk.client(Role.PHYSICIAN, name="Dr Claire Petit")
    assert physician.post("/parcours/heart_failure/copier", made).status_code == 302
    assert "Cœur, la nuit" in desk.client(Role.NURSE).get("/patients/nouveau").content.decode()
    other = desk.client(Role.NURSE, name="of another team", team=2)
    assert "Cœur, la nuit" not in other.get("/patients/nouveau").content.decode()
    assert take_on(desk, box=BOX, typed={"pathway": "coeur_nuit"}) == 302
    (followed,) = desk.database.protocols_at_desk().values()
    assert (followed.name, followed.title.en) == ("coeur_nuit", "Heart, at night")
    assert take_on(desk, "cedre-418", typed={"pathway": "coeur_jour"}) == 422


def test_settings_read_again_do_not_end_what_people_gave_at_the_desk(desk: Desk) -> None:
    take_on(desk, box=BOX)
    settings = desk.boxes.settings()
    desk.database.enrol(tuple(settings.signers), settings.assignments, at=START + DAY)
    assert BoxAssignment.objects.get(patient__pseudonym=NAME).until is None


def test_what_was_ended_at_the_desk_does_not_begin_again_from_a_file(desk: Desk) -> None:
    nurse, settings = desk.client(Role.NURSE), desk.boxes.settings()
    _ = desk.database
    nurse.post(f"/patients/{PATIENT}/boitier/reprendre")
    desk.database.enrol(tuple(settings.signers), settings.assignments, at=START + DAY)
    assert BoxAssignment.objects.filter(patient__pseudonym=PATIENT, until=None).count() == 0
    nurse.post(f"/patients/{PATIENT}/terminer", {"confirmer": "oui"})
    desk.database.enrol(tuple(settings.signers), settings.assignments, at=START + 2 * DAY)
    assert BoxAssignment.objects.filter(patient__pseudonym=PATIENT, until=None).count() == 0
    assert Patient.objects.get(pseudonym=PATIENT).ended_at == START


def test_a_second_box_needs_the_first_to_end(desk: Desk) -> None:
    _ = desk.database
    take_on(desk, box=BOX)
    nurse = desk.client(Role.NURSE)
    other = {"box": str(Box.objects.get(name=OTHER_BOX).pk), "since": there(START)}
    page = nurse.post(f"/patients/{NAME}/boitier", other, follow=True).content.decode()
    assert "un second demande que le premier finisse" in page
    assert BoxAssignment.objects.get(patient__pseudonym=NAME).box.name == BOX
    desk.clock.now = START + DAY
    nurse.post(f"/patients/{NAME}/boitier", {**other, "since": there(START + DAY), "other_box": "ends"})
    given = BoxAssignment.objects.filter(patient__pseudonym=NAME).order_by("since")
    assert [(one.box.name, one.since, one.until) for one in given] == [
        (BOX, START, START + DAY),
        (OTHER_BOX, START + DAY, None),
    ]


def test_two_boxes_serve_one_patient_when_somebody_declares_it(desk: Desk) -> None:
    take_on(desk, box=BOX)
    nurse = desk.client(Role.NURSE)
    both = {"box": str(Box.objects.get(name=OTHER_BOX).pk), "since": there(START), "other_box": "stays"}
    nurse.post(f"/patients/{NAME}/boitier", both)
    page = nurse.get(f"/patients/{NAME}").content.decode()
    assert f"Boîtier {BOX}" in page
    assert f"Boîtier {OTHER_BOX}" in page
    nurse.post(f"/patients/{NAME}/terminer", {"confirmer": "oui"})
    assert not BoxAssignment.objects.filter(patient__pseudonym=NAME, until=None).exists()


def test_what_was_measured_before_a_box_was_given_is_not_the_patients(desk: Desk) -> None:
    _ = desk.database
    desk.clock.now = START + DAY
    take_on(desk, box=BOX, since=START + HOUR)
    desk.receive(glucose(0, patient=NAME), glucose(30, patient=NAME))
    assert Observation.objects.filter(patient__pseudonym=NAME).count() == 1


def test_records_of_somebody_unknown_have_a_page_where_an_assignment_makes_them_somebodys(desk: Desk) -> None:
    desk.receive(glucose(0, patient=NAME), glucose(1, patient=NAME))
    nurse = desk.client(Role.NURSE)
    page = nurse.get("/patients/a-attribuer").content.decode()
    assert "n&#39;est pas attribué à ce patient" in page
    assert f"/patients/nouveau?boitier={BOX}" in page
    desk.clock.now = START + DAY
    take_on(desk)
    page = nurse.get("/patients/a-attribuer").content.decode()
    key = re.search(r'name="groupe" value="([^"]+)"', page)
    assert key is not None
    nurse.post("/patients/a-attribuer/resoudre", {"groupe": key.group(1), "patient": NAME})
    assert Observation.objects.filter(patient__pseudonym=NAME).count() == 2
    assert "Rien n&#39;attend" in nurse.get("/patients/a-attribuer").content.decode()


def test_what_names_one_patient_is_never_given_to_another(desk: Desk) -> None:
    desk.receive(glucose(0, patient=NAME))
    nurse = desk.client(Role.NURSE)
    take_on(desk)
    group = f"{Box.objects.get(name=BOX).pk}:patient:{NAME}"
    page = nurse.post("/patients/a-attribuer/resoudre", {"groupe": group, "patient": PATIENT}, follow=True)
    assert "le relevé nomme un autre patient" in page.content.decode()
    assert Observation.objects.count() == 0


def test_two_cannot_have_one_pseudonym_and_a_box_lends_it_none(desk: Desk) -> None:
    _ = desk.database
    assert take_on(desk) == 302
    for name in (NAME, BOX, PATIENT, "nouveau", "Jeanne Dupont", "ab", "<b>"):
        assert take_on(desk, name) == 422, name
    assert Patient.objects.filter(pseudonym=NAME).count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"pathway": "../../etc/passwd"},
        {"time_zone": "../Paris"},
        {"time_zone": "Mars/Olympus"},
        {"box": "999999"},
        {"since": "2999-01-01T00:00"},
        {"since": "0001-01-01T00:00"},
        {"since": "2025-11-22T09:00+05:00"},
        {"since": "hier"},
    ],
)
def test_what_is_typed_is_refused_in_words_and_nothing_begins(desk: Desk, wrong: dict[str, str]) -> None:
    _ = desk.database
    assert take_on(desk, box=BOX, typed=wrong) == 422
    assert not Patient.objects.filter(pseudonym=NAME).exists()


def test_a_pseudonym_is_proposed_that_can_be_said_and_is_free() -> None:
    seen = {new_pseudonym(lambda _: False) for _ in range(200)}
    assert all(PSEUDONYM.fullmatch(name) for name in seen)
    assert len(seen) > 150
    assert not seen & RESERVED
    with pytest.raises(CoordinationError, match="Nearly all"):
        new_pseudonym(lambda _: True)


def test_another_team_cannot_touch_a_patient(desk: Desk) -> None:
    _ = desk.database
    stranger = desk.client(Role.NURSE, Role.PHYSICIAN, team=2)
    for act in ("boitier", "boitier/reprendre", "terminer", "effacer", "donnees", "identite", "consentement"):
        answer = stranger.post(f"/patients/{PATIENT}/{act}", {"confirmer": "oui", "pseudonyme": PATIENT})
        assert answer.status_code == 404, act
    assert stranger.get(f"/patients/{PATIENT}/dossier").status_code == 404
    assert stranger.get(f"/patients/{PATIENT}/resume").status_code == 404
    assert Patient.objects.get(pseudonym=PATIENT).ended_at is None

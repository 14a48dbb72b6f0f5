"""A box joins through the desk's pages: real boxes, the real office, a browser's requests."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, override_settings

from agent.settings_file import read_settings as read_box_settings
from coordination.authority import Authority
from coordination.box_identity import BoxKeys
from coordination.database import Presence
from coordination.desk.access import Role
from coordination.desk.models import Box, BoxAssignment, Enrolment, Patient, Team
from coordination.enrol_command import office_of
from coordination.office import now_ms
from coordination.settings import read_settings
from exchange.enrolment_code import EnrolmentCode
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.sealing import sign_status, verify_status
from exchange.team_list import TeamList, sign_team_list
from tests.coordination.desk.kit import Desk
from tests.coordination.enrolment_kit import HOST, PATIENCE_S, free_port
from tests.coordination.kit import BOX as KNOWN_BOX
from tests.coordination.kit import OTHER_BOX, OTHER_PATIENT, PATIENT, USUAL, rows

BOX = "box-0007"
FREE = "patient-c0de"


@dataclass
class Site:
    """A desk with an [enrolment] of its own, and where its office listens."""

    desk: Desk
    path: Path
    port: int

    def client(self, *roles: Role, name: str = "Anne Martin", team: int = 1) -> Client:
        return self.desk.client(*roles, name=name, team=team)

    @property
    def database(self) -> Path:
        return self.desk.boxes.database

    @contextmanager
    def office(self) -> Iterator[None]:
        """The office of these settings, as `veilleur-desk enrol --serve` holds it, in a thread of its own."""
        opened, told = threading.Event(), threading.Event()

        async def held() -> None:
            async with office_of(read_settings(self.path)).opened():
                opened.set()
                await asyncio.to_thread(told.wait)

        thread = threading.Thread(target=lambda: asyncio.run(held()))
        thread.start()
        try:
            assert opened.wait(PATIENCE_S)
            yield
        finally:
            told.set()
            thread.join()

    def first_word(self, key: SigningKey) -> Presence:
        """What a box says when it starts, as the inbox believes it: signed by a key that was enrolled."""
        said = sign_status(self.desk.boxes.status(box=BOX, at=now_ms()), key)
        keys = BoxKeys(self.database, {})
        return Presence(status=verify_status(said, box=BOX, signer_of=keys.signer_of), retained=False)


@pytest.fixture
def site(desk: Desk, tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    team = desk.boxes
    patients = (USUAL, (OTHER_PATIENT, OTHER_BOX, "2025-11-01T00:00:00Z", "heart_failure"))
    path = team.write_settings(patients=patients)
    team.open_database(read_settings(path)).close()
    Authority.create(tmp_path / "authority", at=now_ms())
    root = SigningKey.generate()
    listed = TeamList(
        version=1,
        issued_at=now_ms(),
        expires_at=now_ms() + 86_400_000,
        recipients=(Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(team.receipt),),
    )
    (tmp_path / "team-list").write_bytes(sign_team_list(listed, root))
    path.write_text(
        path.read_text(encoding="utf-8")
        + f"""
[enrolment]
authority = "authority"
host = "{HOST}"
port = {port}
listen = "{HOST}"
team = "team-list"
root = "{root.public.hex()}"
relay = "the team's line"
""",
        encoding="utf-8",
    )
    Patient.objects.create(team_id=1, pseudonym=FREE, time_zone="Europe/Paris")
    with override_settings(DESK=replace(settings.DESK, settings_file=path)):
        yield Site(desk, path, port)


def asked(client: Client, *, patient: str = FREE, box: str = BOX) -> tuple[str, EnrolmentCode]:
    """Ask for a code; return the address of its page and what the page shows."""
    answer = client.post("/boitiers/ajouter", {"numero": box, "patient": patient, "protocole": "heart_failure"})
    assert answer.status_code == 302, answer.content.decode()
    address = answer.headers["Location"]
    page = client.get(address).content.decode()
    written = re.search(r"veilleur enrol '(VEILLEUR:[^']+)'", page)
    assert written is not None, page
    assert "<svg" in page
    return address, EnrolmentCode.read(written[1])


def until_shown(client: Client, address: str, wanted: Callable[[str], bool]) -> str:
    """Return the page once it is as wanted: what another process does, nobody tells us."""
    end = time.monotonic() + PATIENCE_S
    while True:
        page = client.get(address).content.decode()
        if wanted(page):
            return page
        assert time.monotonic() < end, page
        threading.Event().wait(0.05)


def digits_of(page: str) -> str:
    found = re.search(r'class="digits">([^<]+)<', page)
    return "" if found is None else found[1]


def six(page: str) -> str:
    return re.sub(r"\D", "", digits_of(page))


@contextmanager
def a_box(folder: Path, code: EnrolmentCode) -> Iterator[subprocess.Popen[str]]:
    """A box as a process of its own that runs the installer's command."""
    folder.mkdir(exist_ok=True)
    words = ["--lang", "fr", "enrol", str(code), "--config", str(folder / "agent.toml")]
    words += ["--state", str(folder / "state"), "--unattended"]
    program = [sys.executable, "-c", "from agent.cli import main; main()"]
    with subprocess.Popen([*program, *words], stderr=subprocess.PIPE, text=True) as box:
        try:
            yield box
        finally:
            box.kill()


def read_out(box: "subprocess.Popen[str]") -> str:
    """Return the digits that the box shows, as its installer reads them out."""
    assert box.stderr is not None
    for line in box.stderr:
        if "Lire à l'équipe" in line:
            return line.strip().rpartition(":")[2].strip()
    raise AssertionError("the box ended without showing digits")


@pytest.mark.process
def test_a_real_box_joins_through_the_page_and_is_its_patients_from_then_on(site: Site, tmp_path: Path) -> None:
    nurse = site.client(Role.NURSE)
    address, code = asked(nurse)
    folder = tmp_path / "home"
    with site.office(), a_box(folder, code) as box:
        page = until_shown(nurse, address, lambda page: bool(digits_of(page)))
        assert read_out(box) == digits_of(page)
        assert "http-equiv" not in page  # nothing reloads while somebody compares
        nurse.post(f"{address}/chiffres", {"chiffres": six(page), "reponse": "oui"})
        assert box.wait(PATIENCE_S) == 0
        until_shown(nurse, address, lambda page: "est enrôlé" in page)
    given = read_box_settings(folder / "agent.toml")
    assert given.box == BOX
    assert [(one.pseudonym, one.protocol.name) for one in given.patients] == [(FREE, "heart_failure")]

    enrolment = Enrolment.objects.get(place=code.place)
    assert (enrolment.state, enrolment.decided_by, enrolment.patient) == ("done", "Anne Martin", FREE)
    held = BoxAssignment.objects.get(patient__pseudonym=FREE)
    assert (held.box.name, held.until) == (BOX, None)
    assert held.since >= enrolment.created_at
    acts = {row[0] for row in rows(site.database, "SELECT act FROM audit")}
    assert {"enrolment_opened", "enrolled", "box_assigned"} <= acts
    assert FREE not in str(rows(site.database, "SELECT body FROM audit"))

    # desk.toml does not name this patient, and takes nothing back when the inbox starts again.
    inbox = site.desk.boxes.open_database(read_settings(site.path), at=now_ms())
    assert BoxAssignment.objects.get(patient__pseudonym=FREE).until is None
    assert "Boîtier prêt" not in nurse.get(address).content.decode().partition("</ol>")[2]
    site.desk.boxes.store(inbox, site.first_word(SigningKey.load(given.identity.signing_key)), at=now_ms())
    inbox.close()
    assert "Boîtier prêt" in nurse.get(address).content.decode().partition("</ol>")[2]
    assert BOX in nurse.get("/boitiers").content.decode()


@pytest.mark.process
def test_digits_that_differ_bring_no_box_in(site: Site, tmp_path: Path) -> None:
    nurse = site.client(Role.NURSE)
    address, code = asked(nurse)
    with site.office(), a_box(tmp_path / "home", code) as box:
        page = until_shown(nurse, address, lambda page: bool(digits_of(page)))
        assert "Le boîtier a recommencé" in _decided(nurse, address, chiffres="000000", reponse="oui")
        refused = _decided(nurse, address, chiffres=six(page), reponse="non")
        assert "n&#39;est pas enrôlé" in refused
        assert box.wait(PATIENCE_S) != 0
    assert not (tmp_path / "home" / "agent.toml").exists()
    assert rows(site.database, "SELECT count(*) FROM box_key") == [(0,)]
    assert not BoxAssignment.objects.filter(patient__pseudonym=FREE).exists()


def _decided(nurse: Client, address: str, **fields: str) -> str:
    return nurse.post(f"{address}/chiffres", fields, follow=True).content.decode()


@pytest.mark.process
def test_another_machine_under_a_known_number_takes_its_number_typed(site: Site, tmp_path: Path) -> None:
    nurse = site.client(Role.NURSE)
    with site.office():
        for home, patient in (("first", FREE), ("second", "")):
            address, code = asked(nurse, patient=patient)
            with a_box(tmp_path / home, code) as box:
                page = until_shown(nurse, address, lambda page: bool(digits_of(page)))
                if home == "second":
                    assert "AUTRE MACHINE" in page
                    assert "rien n&#39;a été changé" in _decided(nurse, address, chiffres=six(page), reponse="oui")
                _decided(nurse, address, chiffres=six(page), reponse="oui", numero=BOX)
                assert box.wait(PATIENCE_S) == 0
    assert read_box_settings(tmp_path / "second" / "agent.toml").patients[0].pseudonym == FREE


# --- who, and what is refused ---------------------------------------------------------------------------


def test_the_code_lies_in_the_browser_that_asked_and_nowhere_at_the_team(site: Site) -> None:
    nurse = site.client(Role.NURSE)
    address, code = asked(nurse)
    colleague = site.client(Role.NURSE, name="B. Roux")
    seen = colleague.get(address).content.decode()
    assert code.secret not in seen
    assert "là où il a été demandé" in seen
    everything = b"".join(path.read_bytes() for path in site.path.parent.rglob("*") if path.is_file())
    assert code.secret.encode() not in everything
    kept = nurse.cookies[f"veilleur-code-{code.place}"]
    assert (kept["path"], kept["httponly"], kept["samesite"], kept["max-age"]) == (address, True, "Strict", 600)


def test_an_enrolment_is_its_askers_and_her_teams(site: Site) -> None:
    address, _ = asked(site.client(Role.NURSE))
    for stranger in (site.client(Role.NURSE, team=2, name="Else"), site.client(Role.INSTALLER, name="I. Nstall")):
        for way in (stranger.get(address), stranger.get(f"{address}/etat"), stranger.post(f"{address}/chiffres")):
            assert way.status_code == 404
        assert stranger.post(f"{address}/abandonner").status_code == 404
    assert Enrolment.objects.get().state == "open"


def test_an_installer_enrols_a_box_that_somebody_was_given_and_reads_no_patient(site: Site) -> None:
    installer = site.client(Role.INSTALLER, name="I. Nstall")
    form = installer.get("/boitiers/ajouter").content.decode()
    assert FREE not in form
    # A patient in the request of somebody who may read none is no patient.
    refused = installer.post("/boitiers/ajouter", {"numero": BOX, "patient": FREE, "protocole": "heart_failure"})
    assert refused.status_code == 400
    assert "n&#39;est attribué à aucun patient" in refused.content.decode()
    address, _ = asked(installer, patient="", box=KNOWN_BOX)
    assert KNOWN_BOX in installer.get("/boitiers").content.decode()
    assert PATIENT not in installer.get(address).content.decode()


@pytest.mark.parametrize(
    ("box", "patient", "protocol", "said"),
    [
        ("<script>", FREE, "heart_failure", "pas un numéro de boîtier"),
        ("box 7", FREE, "heart_failure", "pas un numéro de boîtier"),
        (BOX, FREE, "../../etc/passwd", "Choisir un protocole livré"),
        (BOX, PATIENT, "heart_failure", "n&#39;est attribué à aucun patient"),
        (BOX, "nobody-here", "heart_failure", "n&#39;est attribué à aucun patient"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_makes_no_code(
    site: Site, box: str, patient: str, protocol: str, said: str
) -> None:
    nurse = site.client(Role.NURSE)
    answer = nurse.post("/boitiers/ajouter", {"numero": box, "patient": patient, "protocole": protocol})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not Enrolment.objects.exists()


def test_another_teams_box_cannot_be_taken_over(site: Site) -> None:
    Team.objects.create(pk=2, name="Other")
    Box.objects.create(name="box-0042", team_id=2, heard_at=1)
    answer = site.client(Role.NURSE).post(
        "/boitiers/ajouter", {"numero": "box-0042", "patient": FREE, "protocole": "heart_failure"}
    )
    assert answer.status_code == 400
    assert "ne peut pas être enrôlé ici" in answer.content.decode()
    assert Box.objects.get(name="box-0042").team_id == 2
    assert not Enrolment.objects.exists()


def test_a_code_that_was_given_up_or_is_ten_minutes_old_holds_no_more(site: Site) -> None:
    nurse = site.client(Role.NURSE)
    address, _ = asked(nurse)
    assert "Ce code ne vaut plus" in nurse.post(f"{address}/abandonner", follow=True).content.decode()
    address, code = asked(nurse)
    row = Enrolment.objects.get(place=code.place)
    assert row.expires_at - row.created_at == 600_000
    Enrolment.objects.filter(place=code.place).update(expires_at=now_ms() - 1)
    assert "Les dix minutes sont passées" in nurse.get(address).content.decode()
    assert nurse.get(f"{address}/etat").json() == {"stamp": "expired-", "left": 0, "over": True}


def test_a_page_without_an_office_says_what_to_start(site: Site) -> None:
    nurse = site.client(Role.NURSE)
    address, _ = asked(nurse)
    assert "veilleur-desk enrol --serve" in nurse.get(address).content.decode()
    with site.office():
        assert "veilleur-desk enrol --serve" not in nurse.get(address).content.decode()


def test_a_desk_without_settings_says_so(desk: Desk) -> None:
    answer = desk.client(Role.NURSE).post("/boitiers/ajouter", {"numero": BOX})
    assert answer.status_code == 400
    assert "veilleur-desk serve --config" in answer.content.decode()

"""`veilleur-desk createca | certify | enrol | revoke | boxes` and `veilleur enrol`, as people run them."""

import asyncio
import contextlib
import json
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main as box_main
from agent.settings_file import read_settings
from coordination.cli import main
from coordination.enrol_command import compare
from coordination.enrolments import Claim, Known
from coordination.schema_steps import STEPS
from coordination.sqlite_file import connect
from exchange.certificates import Certificate
from exchange.enrolment import shown
from exchange.enrolment_code import EnrolmentCode
from exchange.identity import SigningKey
from tests.coordination.enrolment_kit import BOX, PATIENCE_S, Desk, NewBox, join
from tests.coordination.kit import rows


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


def run(desk: Desk, *arguments: object) -> Result:
    return CliRunner().invoke(
        main, [str(arguments[0]), "--config", str(desk.folder / "desk.toml"), *map(str, arguments[1:])]
    )


@contextlib.asynccontextmanager
async def started(program: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of our commands as a process of its own."""
    pipe = asyncio.subprocess.PIPE
    code = f"from {program} import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *map(str, arguments), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(stream: asyncio.StreamReader | None, word: str) -> str:
    assert stream is not None
    async with asyncio.timeout(PATIENCE_S):
        while True:
            line = (await stream.readline()).decode()
            assert line, f"it ended without saying {word!r}"
            if word in line:
                return line


@pytest.mark.process
async def test_a_nurse_and_an_installer_bring_a_box_in_with_two_commands(desk: Desk, tmp_path: Path) -> None:
    desk.settings()
    config = tmp_path / "box" / "agent.toml"
    config.parent.mkdir()
    async with started(
        "coordination.cli", "enrol", "--config", desk.folder / "desk.toml", "--box", BOX, "--by", "Anne"
    ) as nurse:
        code = (await line_with(nurse.stdout, "VEILLEUR:")).strip()
        await line_with(nurse.stderr, "En attente du boîtier")
        async with started(
            "agent.cli",
            "--lang",
            "fr",
            "enrol",
            code,
            "--config",
            config,
            "--state",
            tmp_path / "state",
            "--unattended",
        ) as box:
            at_box = await line_with(box.stderr, "Lire à l'équipe")
            at_desk = await line_with(nurse.stderr, "montre :")
            assert at_box.strip().rpartition(":")[2].strip() == at_desk.strip().rpartition(":")[2].strip()
            assert nurse.stdin is not None
            nurse.stdin.write(b"o\n")
            await nurse.stdin.drain()
            async with asyncio.timeout(PATIENCE_S):
                assert await box.wait() == 0
                assert await nurse.wait() == 0
            assert box.stderr is not None
            said = (await box.stderr.read()).decode()
            assert "est enrôlé" in said
            assert "veilleur pair" in said
    assert read_settings(config).box == BOX
    assert rows(desk.folder / "desk.db", "SELECT state, decided_by FROM enrolment") == [("done", "Anne")]
    listed = run(desk, "boxes", "--json")
    (line,) = [json.loads(text) for text in listed.output.splitlines()]
    assert (line["box"], line["standing"], line["state"]) == (BOX, "enrolled", None)
    assert line["certificate_until"].endswith("Z")
    assert "patient" not in listed.output


@pytest.mark.process
async def test_a_nurse_who_says_no_is_told_that_the_box_is_not_enrolled(desk: Desk, tmp_path: Path) -> None:
    desk.settings()
    box = NewBox(tmp_path / "box")
    async with started(
        "coordination.cli", "enrol", "--config", desk.folder / "desk.toml", "--box", BOX, "--by", "Anne", "--lang", "en"
    ) as nurse:
        code = EnrolmentCode.read(await line_with(nurse.stdout, "VEILLEUR:"))
        await line_with(nurse.stderr, "Waiting")
        joining = asyncio.create_task(box.enrol(code))
        await line_with(nurse.stderr, "shows:")
        assert nurse.stdin is not None
        nurse.stdin.write(b"n\n")
        await nurse.stdin.drain()
        with pytest.raises(Exception, match="refused"):
            await joining
        async with asyncio.timeout(PATIENCE_S):
            assert await nurse.wait() == 1
        assert nurse.stderr is not None
        assert "is not enrolled" in (await nurse.stderr.read()).decode()
    assert not box.config.exists()


@pytest.mark.process
async def test_while_an_office_is_open_elsewhere_the_nurse_still_compares(desk: Desk, tmp_path: Path) -> None:
    desk.settings()
    box = NewBox(tmp_path / "box")
    async with (
        desk.open_office(),
        started(
            "coordination.cli", "enrol", "--config", desk.folder / "desk.toml", "--box", BOX, "--by", "Anne"
        ) as nurse,
    ):
        code = EnrolmentCode.read(await line_with(nurse.stdout, "VEILLEUR:"))
        await line_with(nurse.stderr, "guichet")
        joining = asyncio.create_task(box.enrol(code))
        await line_with(nurse.stderr, "montre :")
        assert nurse.stdin is not None
        nurse.stdin.write(b"oui\n")
        await nurse.stdin.drain()
        async with asyncio.timeout(PATIENCE_S):
            assert (await joining).box == BOX
            assert await nurse.wait() == 0


class _Nurse:
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.heard: list[str] = []

    def tell(self, sentence: object) -> None:
        self.heard.append(str(sentence))

    def ask(self, question: object) -> str:
        self.heard.append(str(question))
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("known", "answers", "yes"),
    [
        (Known.NEW, ("o\n",), True),
        (Known.SAME, ("y\n",), True),
        (Known.NEW, ("n\n",), False),
        (Known.NEW, ("",), False),
        (Known.OTHER, ("o\n", f"{BOX}\n"), True),
        (Known.OTHER, ("o\n", "\n"), False),
        (Known.OTHER, ("o\n", "oui\n"), False),
        (Known.OTHER, ("n\n",), False),
    ],
)
def test_another_machine_takes_more_than_a_yes(known: Known, answers: tuple[str, ...], yes: bool) -> None:  # noqa: FBT001
    nurse = _Nurse(*answers)
    assert compare(Claim(place="AAAA", box=BOX, digits="012345", known=known), nurse) is yes
    assert shown("012345") == "012 345"
    assert any("012 345" in said for said in nurse.heard)
    assert any("AUTRE MACHINE" in said for said in nurse.heard) == (known is Known.OTHER)
    assert not nurse.answers


# --- what is refused, with the next step ------------------------------------------------------------


def test_a_box_for_nobody_is_not_invited(desk: Desk) -> None:
    desk.settings()
    done = run(desk, "enrol", "--box", "box-0099", "--by", "Anne")
    assert done.exit_code == 2
    assert "[[patients]]" in done.output
    done = run(desk, "enrol", "--box", BOX, "--patient", "patient-0099", "--by", "Anne")
    assert done.exit_code == 2
    assert "patient-0099" in done.output


def test_a_protocol_of_the_team_s_own_never_comes_with_a_code(desk: Desk) -> None:
    """34: thresholds need two signatures, and a code has none."""
    shipped = Path(__file__).resolve().parents[2] / "configs" / "protocols" / "heart_failure.toml"
    (desk.folder / "own.toml").write_bytes(shipped.read_bytes())
    desk.settings(protocol="own.toml")
    done = run(desk, "enrol", "--box", BOX, "--by", "Anne")
    assert done.exit_code == 2
    assert "deux personnes" in done.output
    assert "two people" in done.output


def test_a_code_without_waiting_is_one_line_and_a_box_with_a_code_is_listed_so(desk: Desk) -> None:
    desk.settings()
    done = CliRunner().invoke(
        main, ["enrol", "--config", str(desk.folder / "desk.toml"), "--box", BOX, "--no-wait"], catch_exceptions=False
    )
    assert EnrolmentCode.read(done.stdout).port == desk.port
    assert len(done.stdout.splitlines()) == 1
    assert "code en attente" in run(desk, "boxes").output
    assert "code waiting" in run(desk, "boxes", "--lang", "en").output


def test_a_team_makes_its_authority_and_the_certificates_of_its_programs(desk: Desk, tmp_path: Path) -> None:
    desk.authority_folder = tmp_path / "new" / "authority"
    path = desk.folder / "desk.toml"
    desk.settings()
    made = run(desk, "createca")
    assert made.exit_code == 0, made.output
    assert desk.authority.ca.exists()
    again = run(desk, "createca")
    assert again.exit_code == 2
    assert "jamais remplacée" in again.output
    for name, hosts in (("inbox-1", ()), ("broker", ("--host", "broker.example.org", "--host", "192.0.2.4"))):
        done = run(desk, "certify", name, "--out", tmp_path / "out", *hosts)
        assert done.exit_code == 0, done.output
        first = Certificate.load(tmp_path / "out" / f"{name}.pem")
        assert first.name == name
        key = (tmp_path / "out" / f"{name}.key").read_bytes()
        assert run(desk, "certify", name, "--out", tmp_path / "out", *hosts).exit_code == 0
        assert Certificate.load(tmp_path / "out" / f"{name}.pem").serial != first.serial
        assert (tmp_path / "out" / f"{name}.key").read_bytes() == key, "a renewal keeps the key"
        context = ssl.create_default_context(cafile=desk.authority.ca)
        context.load_cert_chain(tmp_path / "out" / f"{name}.pem", tmp_path / "out" / f"{name}.key")
    assert run(desk, "certify", "box-0001", "--out", tmp_path / "out").exit_code == 2
    assert path.exists()


def test_settings_without_an_enrolment_section_are_told(desk: Desk) -> None:
    desk.listed[BOX] = SigningKey.generate()
    desk.settings()
    path = desk.folder / "desk.toml"
    text = path.read_text()
    head, _, rest = text.partition("[enrolment]")
    path.write_text(head + "[[boxes]]" + rest.partition("[[boxes]]")[2])
    done = run(desk, "revoke", BOX, "--reason", "volé")
    assert done.exit_code == 2
    assert "[enrolment]" in done.output


def test_a_broker_that_is_not_told_of_a_revocation_makes_the_command_fail_and_say_so(
    desk: Desk, tmp_path: Path
) -> None:
    async def prepared() -> None:
        async with desk.open_office():
            await join(desk, NewBox(tmp_path / "box"), desk.code())

    asyncio.run(prepared())
    desk.settings()
    done = run(desk, "revoke", BOX, "--reason", "volé")
    assert done.exit_code == 1
    assert "ne croit plus rien" in done.output
    assert "SIGHUP" in done.output
    assert "révoqué" in run(desk, "boxes").output


@pytest.mark.parametrize("text", ["", "VEILLEUR:1/x", "https://example.org", "VEILLEUR:2/a:1/b/c"])
def test_a_code_that_is_none_is_told_before_anything_is_sent(tmp_path: Path, text: str) -> None:
    done = CliRunner().invoke(
        box_main, ["--lang", "fr", "enrol", text, "--config", str(tmp_path / "agent.toml"), "--unattended"]
    )
    assert done.exit_code == 2
    assert "code d'enrôlement" in done.output
    assert "Traceback" not in done.output


def test_without_a_terminal_nobody_can_compare(desk: Desk, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        box_main, ["--lang", "fr", "enrol", str(desk.code()), "--config", str(tmp_path / "agent.toml")]
    )
    assert done.exit_code == 2
    assert "--unattended" in done.output


# --- the database -----------------------------------------------------------------------------------


def test_the_step_and_a_new_database_have_the_same_tables(tmp_path: Path) -> None:
    tables = ("box_key", "box_certificate", "enrolment", "enrolment_failure")
    with (
        contextlib.closing(connect(tmp_path / "new.db")) as fresh,
        contextlib.closing(sqlite3.connect(":memory:")) as stepped,
    ):
        for statement in (*STEPS[3], *STEPS[8], *STEPS[13]):
            stepped.execute(statement)
        for table in tables:
            columns = fresh.execute(f"PRAGMA table_info({table})").fetchall()
            assert columns
            assert stepped.execute(f"PRAGMA table_info({table})").fetchall() == columns

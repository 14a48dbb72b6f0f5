"""The page from which a nurse writes a protocol: its examples are sound, its tables complete, its commands run."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.cli import main
from alerting.protocol_file import check_protocol
from alerting.protocol_forms import RULES, key_types, text
from alerting.protocol_rule_schema import FORMS, RuleTable
from alerting.protocol_schema import (
    DueTable,
    FileTable,
    SignatureTable,
    StepTable,
    TellingTable,
    TimingTable,
    TransmissionTable,
)
from alerting.protocol_values import Flags
from alerting.wording import shown_unit
from devices.reading import Quantity, facts
from tests.alerting.protocols import absence, shipped
from tests.alerting.short_stories import outcomes, take
from tests.alerting.worlds import TEMPERATURE

PAGE = (Path(__file__).parents[1] / "docs" / "care-protocols.md").read_text(encoding="utf-8")
SECTIONS = {part.split("\n", 1)[0]: part for part in PAGE.split("\n## ")[1:]}
BLOCKS: list[str] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FILES = {block.split("\n", 1)[0].removeprefix("# "): block for block in BLOCKS if block.startswith("# ")}
HEAD = FILES["the head of a file without a pack"]
SOURCES = next(block for block in BLOCKS if block.startswith("[sources]"))
WITH_THEIR_SOURCES = {
    tomllib.loads(block)["rules"][0]["id"]: block for block in BLOCKS if block.startswith("[[rules]]")
}
RULES_SHOWN = {name: block.split("\n[sources]")[0] for name, block in WITH_THEIR_SOURCES.items()}
"""The rules of the page, by the id of the first of each example."""


def packs(name: str) -> bytes:
    return FILES[name].encode() if name in FILES else shipped(name)


def section(kind: str) -> str:
    return next(part for title, part in SECTIONS.items() if title.startswith(f"`{kind}`"))


def rows(part: str) -> dict[str, str]:
    """Return key -> its row, of the tables of a section."""
    found = {}
    for row in re.findall(r"^\| (`.+)$", part, re.MULTILINE):
        for key in re.findall(r"`(\w+)`", row.split("|")[0]):
            found[key] = row
    return found


def with_what_it_needs(name: str) -> str:
    """Return a whole file around one rule of the page."""
    table = tomllib.loads(RULES_SHOWN[name])["rules"][0]
    members = table["of"] if table["kind"] == "composite" else []
    shown = [*members, name]
    tables = [tomllib.loads(RULES_SHOWN[one])["rules"][0] for one in shown]
    judged = {table["quantity"] for table in tables} | set(table["of"] if table["kind"] == "score" else [])
    told = {table["quantity"] for table in tables if table["kind"] == "missing"}
    head = HEAD.replace('cadence = "5 min"', 'cadence = "15 min"') if table.get("model") == "kalman" else HEAD
    absences = "".join(absence(quantity).replace("paper", "physician") for quantity in sorted(judged - told))
    return head + "".join(f"\n{RULES_SHOWN[one]}" for one in shown) + absences + "\n" + SOURCES


@pytest.mark.parametrize("name", RULES_SHOWN)
def test_every_rule_of_the_page_is_sound(name: str) -> None:
    checked = check_protocol(with_what_it_needs(name).encode())
    assert checked.faults == ()
    assert [remark for remark in checked.remarks if not remark.key.startswith("quantities.")] == []


def test_the_page_has_an_example_of_every_kind() -> None:
    shown = {tomllib.loads(block)["rules"][0]["kind"] for block in RULES_SHOWN.values()}
    assert shown == set(FORMS)
    for name, block in RULES_SHOWN.items():
        assert block in section(tomllib.loads(block)["rules"][0]["kind"]), name


def test_the_files_of_the_page_are_sound() -> None:
    signed = FILES["mme-d.toml"] + FILES["to add at the end of mme-d.toml"]
    for whole in (FILES["service.toml"], FILES["mme-d.toml"], signed, FILES["three-days.toml"]):
        checked = check_protocol(whole.encode(), packs=packs)
        assert (checked.faults, checked.remarks) == ((), ())
    too_far = FILES["mme-d.toml"].replace('"2.5 kg"', '"3.5 kg"')
    (fault,) = check_protocol(too_far.encode(), packs=packs).faults
    assert "1.5 kg à 3.0 kg" in fault.message.fr


def test_the_dry_weight_of_the_page_is_sound_as_it_is_copied() -> None:
    cited = tomllib.loads(WITH_THEIR_SOURCES["over_dry_weight"])["sources"]
    assert cited == {"physician": tomllib.loads(SOURCES)["sources"]["physician"]}
    head, needed = HEAD.split("[quantities")[0], absence("body_weight").replace("paper", "physician")
    checked = check_protocol((head + needed + "\n" + WITH_THEIR_SOURCES["over_dry_weight"]).encode())
    assert (checked.faults, checked.remarks) == ((), ())


@pytest.mark.parametrize("between", [(), ("37.4",), ("37.4", "37.0"), ("37.4", "37.0", "37.9")])
def test_the_two_rules_of_twice_see_what_a_share_of_all_would_miss(between: tuple[str, ...]) -> None:
    whole = with_what_it_needs("fever_twice")
    read = [take(TEMPERATURE, value, 0, 8 + hour) for hour, value in enumerate(("38.2", *between, "38.3"))]

    def raised(text: str) -> set[str]:
        protocol = check_protocol(text.encode()).protocol
        assert protocol is not None
        return {one.rule for one in outcomes(protocol, read)}

    assert raised(whole) & {"fever_twice", "fever_twice_of_many"}
    every = whole.replace('"51 %"', '"100 %"').replace('"26 %"', '"100 %"')
    assert bool(raised(every)) is not bool(between)
    assert {remark.key for remark in check_protocol(every.encode()).remarks} >= {"rules.fever_twice.share"}


def test_every_quantity_is_named_with_its_units() -> None:
    shown = rows(SECTIONS["Les mesures · The quantities"])
    assert list(shown) == [str(quantity) for quantity in Quantity]
    for name, row in shown.items():
        known = facts(Quantity(name))
        units = ", ".join(shown_unit(unit) for unit in (known.unit, *known.conversions))
        assert [cell.strip() for cell in row.split("|")][3] == units
        assert all(cell.strip() for cell in row.split("|")[:4])


def keys_of(table: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    return list(msgspec.structs.fields(table))


def said_in(rows: dict[str, str], field: msgspec.structs.FieldInfo) -> None:
    """Hold a row to what the schema says: whether the key may be left out, and its least and greatest number."""
    row = rows[field.name]
    if field.required:
        assert "obligatoire" in row or "pack" in row or "règles" in row, row
    kind = msgspec.inspect.type_info(field.type)
    if isinstance(kind, msgspec.inspect.IntType):
        assert f"{kind.ge}–{kind.le}" in row, row


def test_every_key_of_a_file_is_in_its_table() -> None:
    shown = rows(SECTIONS["Le fichier · The file"])
    for table in (FileTable, TransmissionTable, TimingTable, TellingTable, DueTable, StepTable):
        for field in keys_of(table):
            said_in(shown, field)
    assert all(f"`{field.name}`" in shown["signatures"] for field in keys_of(SignatureTable))
    assert {"pack", "adapt", "remove"} <= shown.keys()


def test_every_key_of_every_kind_of_rule_is_in_its_table() -> None:
    shared = rows(SECTIONS["Toute règle · Every rule"])
    for field in keys_of(RuleTable):
        said_in(shared, field)
    for kind, forms in FORMS.items():
        shown = rows(section(kind))
        known: set[str] = set()
        for table in forms.tables.values():
            for field in keys_of(table):
                if field.name not in RuleTable.__struct_fields__:
                    said_in(shown, field)
                    known.add(field.name)
        assert shown.keys() == known


def test_every_default_of_a_rule_is_the_one_in_its_table() -> None:
    literal = 0
    for kind, forms in FORMS.items():
        types = {key: field for form in forms.tables.values() for key, field in key_types(form).items()}
        for key, row in rows(section(kind)).items():
            said = row.split("|")[1].strip()
            if re.match(r'[\d"\[]|true$|false$', said):
                # The grace of an absence is the one that only the file may leave out.
                default = 0 if key == "grace" else RULES[forms.shared].__dataclass_fields__[key].default
                assert json.dumps(text(types[key], Quantity.BODY_WEIGHT, default)) == said, (kind, key)
                literal += 1
    assert literal > 15


def test_every_quality_flag_is_named() -> None:
    assert all(f"`{name}`" in section("quality") for name in Flags.names)


def test_the_page_says_what_veilleur_is_not() -> None:
    assert "not a certified medical device and not an emergency service" in PAGE
    assert "n'est pas un dispositif médical certifié, ni un service d'urgence" in PAGE


@pytest.mark.parametrize("line", re.findall(r"^    veilleur (check .+)$", PAGE, re.MULTILINE))
def test_the_commands_of_the_page_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("service.toml", "mme-d.toml"):
        (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command, _, written = line.partition(" > ")
    done = CliRunner().invoke(main, shlex.split(command))
    assert (done.exit_code, done.stderr) == (0, "")
    if written:
        Path(written).write_text(done.stdout, encoding="utf-8")
        heir = FILES["three-days.toml"].replace('"heart_failure"', f'"{written}"')
        Path("mme-d.toml").write_text(heir, encoding="utf-8")
        assert CliRunner().invoke(main, ["check", "mme-d.toml"]).stderr == ""

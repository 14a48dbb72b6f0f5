"""Who judges the resources, none of it written here: HL7's JSON schema, HL7's definitions, and @medplum/core by Node.

`make fhir` installs them in build/fhir by the lock file of requirements/fhir.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft6Validator

Resource = dict[str, Any]
HERE = Path(__file__).parent
FOLDER = HERE.parents[2] / "build" / "fhir"
DEFINITIONS = FOLDER / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
VITAL = "http://hl7.org/fhir/StructureDefinition/"
UNSEEN = frozenset(
    f"Observation.component: Incorrect number of values provided for slice '{name}BP': expected 1..1, but found 0"
    for name in ("Systolic", "Diastolic")
)
"""@medplum/core 4.5 says this of every blood pressure, the plainest too (a test holds that): the table judges them."""


def there() -> None:
    """Skip the test, or fail it where nothing may be skipped, when the judges are not installed."""
    missing = "node (Debian: nodejs)" if shutil.which("node") is None else "build/fhir: run 'make fhir'"
    if shutil.which("node") is not None and DEFINITIONS.is_dir():
        return
    reason = f"FHIR cannot be validated here: {missing} is missing"
    if os.environ.get("VEILLEUR_NO_SKIP"):
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _read(name: str) -> Any:
    return json.loads((DEFINITIONS / name).read_text(encoding="utf-8"))


@cache
def _schema(kind: str) -> Draft6Validator:
    whole = _read("fhir.schema.json")
    return Draft6Validator({"$ref": f"#/definitions/{kind}", "definitions": whole["definitions"]})


def schema_faults(resource: Resource) -> list[str]:
    """What HL7's JSON schema finds wrong; what a bundle holds is judged apart, which is a hundred times faster."""
    if resource["resourceType"] == "Bundle":
        entries = [{name: part for name, part in entry.items() if name != "resource"} for entry in resource["entry"]]
        resource = {**resource, "entry": entries}
    return [
        f"{error.json_path}: {error.message[:200]}" for error in _schema(resource["resourceType"]).iter_errors(resource)
    ]


def profiles_of(resource: Resource) -> list[str]:
    """The ids of the profiles that a resource claims."""
    return [url.removeprefix(VITAL) for url in resource.get("meta", {}).get("profile", [])]


def medplum_faults(resources: Iterable[Resource]) -> list[list[str]]:
    """What @medplum/core finds wrong with each, by R4 itself and by each profile that it claims."""
    whole = list(resources)
    asked = [(number, profile) for number, one in enumerate(whole) for profile in ("", *profiles_of(one))]
    answers = _medplum([(whole[number], profile) for number, profile in asked])
    found: list[list[str]] = [[] for _ in whole]
    for (number, _), faults in zip(asked, answers, strict=True):
        found[number] += [fault for fault in faults if fault not in UNSEEN]
    return found


def medplum_says(resource: Resource, profile: str) -> list[str]:
    """Everything that it says of one, by one profile."""
    return _medplum([(resource, profile)])[0]


def _medplum(asked: list[tuple[Resource, str]]) -> list[list[str]]:
    done = subprocess.run(
        ["node", str(HERE / "fhir_judge.mjs"), str(FOLDER)],
        input="".join(json.dumps({"resource": one, "profile": profile}) + "\n" for one, profile in asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    answers: list[list[str]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(asked)
    return answers


@cache
def vital_signs() -> dict[str, tuple[str, dict[str, frozenset[str]]]]:
    """By HL7's profiles: profile -> its LOINC code, and LOINC code -> units that a value of it may have."""
    sets = {one["resource"]["url"]: one["resource"] for one in _read("valuesets.json")["entry"]}
    found = {}
    for entry in _read("profiles-others.json")["entry"]:
        definition = entry["resource"]
        elements = {one["id"]: one for one in definition.get("snapshot", {}).get("element", [])}
        code = next((one["fixedCode"] for key, one in elements.items() if _is_code(key)), None)
        if definition["type"] != "Observation" or code is None:
            continue
        units: dict[str, frozenset[str]] = {}
        for key, one in elements.items():
            if not key.endswith((".value[x].code", ":valueQuantity.code")):
                continue
            whose = code if ".component:" not in key else _component_code(elements, key)
            if "fixedCode" in one:
                units[whose] = frozenset({one["fixedCode"]})
            elif "binding" in one:
                compose = sets[one["binding"]["valueSet"].partition("|")[0]]["compose"]["include"]
                units[whose] = frozenset(unit["code"] for part in compose for unit in part["concept"])
        found[definition["id"]] = (code, units)
    return found


def _is_code(key: str) -> bool:
    return key.startswith("Observation.code.coding:") and key.endswith(".code")


def _component_code(elements: dict[str, Any], key: str) -> str:
    component = key.partition(".value[x]")[0]
    inside = (one for name, one in elements.items() if name.startswith(f"{component}.code.coding:"))
    return str(next(one["fixedCode"] for one in inside if "fixedCode" in one and one["id"].endswith(".code")))


def table_faults(resource: Resource) -> list[str]:
    """What is not as HL7's profiles of vital signs fix it: codes and units."""
    faults = []
    for profile in profiles_of(resource):
        code, units = vital_signs()[profile]
        parts = set().union(*(_codes(part) for part in (resource, *resource.get("component", []))))
        faults += [f"{profile} without {one}" for one in {code, *(units if profile == "bp" else ())} - parts]
        for part in (resource, *resource.get("component", [])):
            unit = part.get("valueQuantity", {}).get("code")
            allowed = [units[one] for one in _codes(part) if one in units]
            if unit is not None and any(unit not in one for one in allowed):
                faults.append(f"{profile} in {unit}")
    return faults


def _codes(part: Resource) -> set[str]:
    return {one["code"] for one in part.get("code", {}).get("coding", [])}


def search_parameters() -> dict[str, Resource]:
    """HL7's definitions of search parameters, by their address."""
    return {one["resource"]["url"]: one["resource"] for one in _read("search-parameters.json")["entry"]}

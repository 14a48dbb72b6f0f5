"""What is told over FHIR is FHIR: by HL7's schema, by HL7's own profiles, and by a validator that others wrote."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from coordination.desk.fhir.catalogue import KINDS
from tests.coordination.desk.fhir_judges import (
    UNSEEN,
    medplum_faults,
    medplum_says,
    schema_faults,
    search_parameters,
    table_faults,
    there,
    vital_signs,
)
from tests.coordination.desk.fhir_kit import Reader, week
from tests.coordination.desk.kit import Desk

Resource = dict[str, Any]


@pytest.fixture(autouse=True)
def judges() -> None:
    there()


@pytest.fixture
def everything(desk: Desk) -> list[Resource]:
    week(desk)
    client = Reader.of(desk).client
    found: list[Resource] = [json.loads(client.get("/fhir/metadata").content)]
    for kind in KINDS:
        bundle = json.loads(client.get(f"/fhir/{kind}?_count=500&_total=accurate").content)
        found += [bundle, *(entry["resource"] for entry in bundle["entry"])]
    found.append(json.loads(client.get("/fhir/Observation?x=y").content))
    return found


def told(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"


def test_everything_is_valid(everything: list[Resource]) -> None:
    assert {one["resourceType"] for one in everything} >= {*KINDS, "Bundle", "CapabilityStatement", "OperationOutcome"}
    assert [(told(one), faults) for one in everything if (faults := schema_faults(one))] == []
    readings = [one for one in everything if one["resourceType"] == "Observation"]
    assert [(told(one), faults) for one in readings if (faults := table_faults(one))] == []
    judged = zip(everything, medplum_faults(everything), strict=True)
    assert [(told(one), faults) for one, faults in judged if faults] == []


def test_every_profile_of_vital_signs_that_we_measure_is_claimed(everything: list[Resource]) -> None:
    claimed = {url.rpartition("/")[2] for one in everything for url in one.get("meta", {}).get("profile", [])}
    assert claimed == {"bp", "heartrate", "oxygensat", "bodytemp", "bodyweight", "bmi", "resprate"}
    assert claimed <= set(vital_signs())


def test_every_reference_leads_to_what_is_there(desk: Desk, everything: list[Resource]) -> None:
    client = Reader.of(desk).client
    addresses = {text for one in everything for text in references(one)}
    assert len(addresses) > 10
    assert [address for address in sorted(addresses) if client.get(f"/fhir/{address}").status_code != 200] == []


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["reference"]} if isinstance(value.get("reference"), str) else set()
        return own.union(*(references(one) for one in value.values()))
    return set().union(*(references(one) for one in value)) if isinstance(value, list) else set()


def drop(name: str) -> Callable[[Resource], None]:
    return lambda one: one.pop(name)


def put(**values: object) -> Callable[[Resource], None]:
    return lambda one: one.update(values)


def another_unit(one: Resource) -> None:
    one["valueQuantity"].update(unit="/h", code="/h")


def value_as_text(one: Resource) -> None:
    one["valueQuantity"]["value"] = "72.0"


FAULTS: dict[str, tuple[str, Callable[[Resource], None]]] = {
    "no status": ("heartrate", drop("status")),
    "a status of nobody's": ("heartrate", put(status="finished")),
    "an element that is none": ("heartrate", put(valueQty={"value": 72})),
    "a day as the French write it": ("heartrate", put(effectiveDateTime="22/11/2025")),
    "a value and a reason for none": ("heartrate", put(dataAbsentReason={"text": "error"})),
    "a value as text": ("heartrate", value_as_text),
    "a component of nothing": ("bp", put(component=[{"valueQuantity": {"value": 1}}])),
    "a heart rate an hour": ("heartrate", another_unit),
}


def test_each_of_eight_faults_is_caught(everything: list[Resource]) -> None:
    whole = {
        profile: next(one for one in everything if f"{one.get('meta', {}).get('profile')}".endswith(f"/{profile}']"))
        for profile in ("heartrate", "bp")
    }
    spoilt = []
    for profile, spoil in FAULTS.values():
        one = copy.deepcopy(whole[profile])
        spoil(one)
        spoilt.append(one)
    judged = zip(FAULTS, spoilt, medplum_faults(spoilt), strict=True)
    caught = {
        name: {"schema": schema_faults(one), "medplum": by_medplum, "table": table_faults(one)}
        for name, one, by_medplum in judged
    }
    by = {name: {judge for judge, faults in found.items() if faults} for name, found in caught.items()}
    assert [name for name, judges in by.items() if not judges] == []
    # The unit of a profile is what neither of the two sees.
    assert [name for name, judges in by.items() if judges == {"table"}] == ["a heart rate an hour"]


def test_the_validator_finds_the_components_of_no_blood_pressure_at_all() -> None:
    """What of its findings is left out, it says of the plainest blood pressure that HL7's profile allows."""

    def one(code: str) -> Resource:
        quantity = {"value": 1, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
        return {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": quantity}

    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    plainest = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [category]}],
        **one("85354-9"),
        "subject": {"reference": "Patient/x"},
        "effectiveDateTime": "2025-01-01T00:00:00Z",
        "component": [one("8480-6"), one("8462-4")],
    }
    del plainest["valueQuantity"]
    assert set(medplum_says(plainest, "bp")) == UNSEEN


def test_the_capability_statement_says_what_is_true(desk: Desk) -> None:
    week(desk)
    client = Reader.of(desk).client
    statement = json.loads(client.get("/fhir/metadata").content)
    defined = search_parameters()
    assert [one["type"] for one in statement["rest"][0]["resource"]] == list(KINDS)
    for resource in statement["rest"][0]["resource"]:
        kind = resource["type"]
        samples = {"date": "2025", "token": "x", "reference": "x"}
        for parameter in resource["searchParam"]:
            definition = defined[parameter["definition"]]
            assert definition["code"] == parameter["name"]
            assert definition["type"] == parameter["type"]
            assert {kind, "Resource"} & set(definition["base"]), (kind, parameter["name"])
            assert client.get(f"/fhir/{kind}?{parameter['name']}={samples[parameter['type']]}").status_code == 200
        offered = {one["name"] for one in resource["searchParam"]}
        others = {one["code"] for one in defined.values() if {kind, "Resource"} & set(one["base"])} - offered
        assert len(others) > 5
        for name in others:
            assert client.get(f"/fhir/{kind}?{name}=x").status_code == 400, (kind, name)
        found = json.loads(client.get(f"/fhir/{kind}?_count=1").content)["entry"][0]["resource"]["id"]
        assert client.get(f"/fhir/{kind}/{found}").status_code == 200
        for method in (client.put, client.patch, client.delete, client.post):
            assert method(f"/fhir/{kind}/{found}").status_code == 405

"""The text of a draft: what it begins with, and that changing it through a form keeps what it means."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.care_protocol import CareProtocol
from alerting.protocol_bounds import places
from alerting.protocol_file import check_protocol
from coordination.draft_text import first_text, toml_of, with_values
from coordination.protocol_sources import pack_bytes, packaged_protocols

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
PLAIN = st.one_of(
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
TABLES = st.recursive(
    st.one_of(PLAIN, st.lists(PLAIN, max_size=3)),
    lambda inner: st.one_of(
        st.dictionaries(KEYS, inner, max_size=4), st.lists(st.dictionaries(KEYS, inner, max_size=3), max_size=3)
    ),
    max_leaves=12,
)


def packs(name: str) -> bytes:
    return pack_bytes(name, Path("/nonexistent"))


def meant(text: str) -> CareProtocol:
    checked = check_protocol(text.encode(), packs=packs)
    assert checked.protocol is not None, checked.faults
    return checked.protocol


@given(document=st.dictionaries(KEYS, TABLES, max_size=5))
def test_tables_written_as_toml_read_back_as_they_were(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_of(document)) == document


@pytest.mark.parametrize("name", packaged_protocols())
def test_a_draft_of_what_ships_means_what_holds_with_the_next_version(name: str) -> None:
    holding = meant(packs(name).decode())
    draft = meant(first_text(name, holding, holding=holding, patient="patient-7f3a"))
    assert draft.version == holding.version + 1
    assert replace(draft, version=holding.version).protocol_hash == holding.protocol_hash
    assert draft.pack == f"{holding.name} {holding.version}"


@pytest.mark.parametrize("name", ["heart_failure", "diabetes_cgm", "hypertension"])
def test_a_draft_of_an_adapted_protocol_begins_with_its_adaptations(name: str) -> None:
    pack = meant(packs(name).decode())
    first = first_text(name, pack, holding=pack, patient="patient-7f3a")
    rules = frozenset(rule.id for rule in pack.rules)
    known = places(pack)
    values = {
        (bound.rule, bound.key): known[bound.rule].text(bound.key, bound.high)
        for bound in pack.bounds
        if bound.rule in {"transmission", "telling"} or bound.key in {"refractory", "expected", "grace"}
    }
    assert values
    adapted = meant(with_values(first, values, pack_rules=rules))
    again = meant(first_text(name, pack, holding=adapted, patient="patient-7f3a"))
    assert replace(again, version=adapted.version).protocol_hash == adapted.protocol_hash


def test_another_pathway_begins_as_its_pack_under_its_own_name() -> None:
    pack, holding = meant(packs("heart_failure").decode()), meant(packs("diabetes_cgm").decode())
    draft = meant(first_text("heart_failure", pack, holding=holding, patient="patient-7f3a"))
    assert (draft.name, {rule.id for rule in draft.rules}) == ("heart_failure", {rule.id for rule in pack.rules})
    assert draft.version == pack.version + 1


def test_a_patient_whose_protocol_nobody_knows_gets_one_of_their_own_name() -> None:
    pack = meant(packs("heart_failure").decode())
    draft = meant(first_text("heart_failure", pack, holding=None, patient="patient-7f3a"))
    assert (draft.name, draft.version) == ("patient_7f3a", 1)

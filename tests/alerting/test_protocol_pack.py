"""A protocol that takes a pack and changes a few numbers of it, within the limits of the physician."""

import pytest

from alerting.care_protocol import Bound
from alerting.errors import Fault, ProtocolError
from alerting.protocol_file import check_protocol, read_protocol
from alerting.rules import ChangeRule
from alerting.scheduled_rules import MissingRule
from devices.reading import Quantity, Unit
from tests.alerting.protocols import DAY, FORMS, HEAD, HOUR, MINUTE, WORDS, absence, faults, read, shelf, table

PACK = (
    'keep = ["gain"]\n'
    + HEAD.replace('"mine"', '"service"').replace("version = 1", "version = 7")
    + table("gain", FORMS["change"])
    + table("loss", FORMS["change_relative"] + '\nabsorbs = ["gain"]\nrefractory = "2 days"\nper_day = 2')
    + table("low", FORMS["level"])
    + table("probable", FORMS["forecast_kalman"])
    + table("stuck", FORMS["quality_stuck"])
    + table(
        "no_weight",
        'quantity = "body_weight"\nkind = "missing"\nby = "11:00"\non = ["mon", "thu"]\ngrace = "2 h"\ndigest = true',
    )
    + absence("glucose_interstitial")
    + absence("glucose_capillary")
    + """
[telling]
quiet = ["22:00", "07:00"]
at_most = 10
within = "10 min"
due = { high = "15 min", low = "1 day" }

[[telling.steps]]
priority = "high"
after = "15 min"
audience = "nurse"

[bounds.gain]
delta = ["1.5 kg", "3.0 kg"]
window = ["2 days", "5 days"]

[bounds.loss]
delta = ["4 %", "8 %"]

[bounds.low]
threshold = ["60 mg/dL", "4.0 mmol/L"]
persist = ["5 min", "30 min"]

[bounds.probable]
probability = ["40 %", "70 %"]

[bounds.no_weight]
by = ["09:00", "14:00"]

[bounds.transmission]
not_transmitted_after = ["2 h", "12 h"]

[bounds.glucose_interstitial]
cadence = ["1 min", "15 min"]

[bounds.telling]
at_most = [5, 20]
"""
).replace("[sources]", '[quantities.glucose_capillary]\ncadence = "15 min"\ngap = "45 min"\n\n[sources]')

HEIR = """schema = 1
name = "mme_d"
version = 1
pack = "service"
"""


def line(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


def wrong(text: str) -> list[Fault]:
    return list(faults(HEIR + text, service=PACK))


def only(text: str) -> Fault:
    (fault,) = wrong(text)
    return fault


def test_a_pack_is_itself_a_protocol() -> None:
    pack = read(PACK)
    assert pack.keep == ("gain",)
    assert pack.pack is None
    assert Bound(rule="gain", key="delta", low=1500, high=3000) in pack.bounds
    assert Bound(rule="loss", key="delta", low=400, high=800) in pack.bounds
    assert Bound(rule="low", key="threshold", low=600, high=721) in pack.bounds
    assert Bound(rule="no_weight", key="by", low=540, high=840) in pack.bounds
    assert Bound(rule="telling", key="at_most", low=5, high=20) in pack.bounds


def test_two_numbers_are_changed_and_everything_else_is_inherited() -> None:
    pack = read(PACK)
    mine = read(HEIR + '[adapt.gain]\ndelta = "2.5 kg"\nend_delta = "1.2 kg"\n', service=PACK)
    assert (mine.name, mine.version, mine.pack, mine.title) == ("mme_d", 1, "service 7", pack.title)
    gain = mine.rules[0]
    assert isinstance(gain, ChangeRule)
    assert (gain.delta, gain.end_delta, gain.window) == (2500, 1200, 3 * DAY)
    assert mine.rules[1:] == pack.rules[1:]
    assert (mine.telling, mine.sources, mine.timings, mine.bounds, mine.keep) == (
        pack.telling,
        pack.sources,
        pack.timings,
        pack.bounds,
        pack.keep,
    )


def test_the_hash_is_the_same_whether_inherited_or_written_out() -> None:
    heir = read(HEIR + '[adapt.gain]\ndelta = "2.5 kg"\n', service=PACK)
    written = PACK.replace('"service"', '"mme_d"').replace("version = 7", "version = 1").replace('"2.0 kg"', '"2.5 kg"')
    assert heir.protocol_hash == read(written).protocol_hash
    other = read(HEIR + '[adapt.gain]\ndelta = "2.4 kg"\n', service=PACK)
    assert other.protocol_hash != heir.protocol_hash
    assert (
        read(HEIR, service=PACK).protocol_hash == read(HEIR, service=PACK.replace('"3.0 kg"', '"3.1 kg"')).protocol_hash
    )


def test_rules_are_added_after_those_of_the_pack_and_some_are_removed() -> None:
    text = 'remove = ["loss", "stuck"]\n' + table("fast", FORMS["rate"]) + '\n[sources]\nmore = "Another paper"\n'
    mine = read(HEIR + text, service=PACK)
    assert [rule.id for rule in mine.rules] == [
        "gain",
        "low",
        "probable",
        "no_weight",
        "no_glucose_interstitial",
        "no_glucose_capillary",
        "fast",
    ]
    assert mine.sources == {"paper": "A paper", "more": "Another paper"}


def test_a_rule_absorbs_no_more_what_was_removed() -> None:
    pack = PACK.replace('keep = ["gain"]\n', "")
    mine = read(
        HEIR + 'remove = ["gain"]\n',
        service=pack.replace("[bounds.gain]", "[bounds.stuck]").replace(
            'delta = ["1.5 kg", "3.0 kg"]\nwindow = ["2 days", "5 days"]', 'window = ["1 h", "5 h"]'
        ),
    )
    assert mine.rules[0].id == "loss"
    assert mine.rules[0].life.absorbs == ()


def test_bounds_of_a_removed_rule_go_with_it() -> None:
    mine = read(HEIR + 'remove = ["loss"]\n', service=PACK)
    assert {bound.rule for bound in mine.bounds} == {bound.rule for bound in read(PACK).bounds} - {"loss"}


@pytest.mark.parametrize(
    "text",
    [
        '[adapt.gain]\ndelta = "1.5 kg"\n',
        '[adapt.gain]\ndelta = "3 kg"\nend_delta = "2 kg"\nwindow = "5 days"\n',
        '[adapt.gain]\ntitle = { fr = "Prise", en = "Gain" }\nlatched = true\n[adapt.low]\npriority = "high"\n',
        '[adapt.loss]\ndelta = "8 %"\nrefractory = "1 day"\nper_day = 3\nabsorbs = []\n',
        "[adapt.loss]\nper_day = 0\n",
        '[adapt.probable]\nprobability = "40 %"\nend_probability = "30 %"\n',
        '[adapt.no_weight]\nby = "14:00"\non = ["mon", "wed", "thu"]\ngrace = "1 h"\ndigest = false\n',
        '[adapt.no_glucose_interstitial]\nexpected = "1 day"\n',
        '[transmission]\nnot_transmitted_after = "12 h"\n',
        '[transmission]\nnot_transmitted_after = "2 h"\n',
        '[quantities.glucose_interstitial]\ncadence = "15 min"\n',
        '[quantities.spo2]\ncadence = "1 min"\ngap = "5 min"\n',
        '[telling]\nquiet = ["23:00", "06:00"]\nat_most = 20\ndigest_at = "10:00"\nlongest_shelf = "1 day"\n',
        '[telling]\ndue = { high = "10 min", medium = "2 h" }\n',
        '[[telling.steps]]\npriority = "medium"\nafter = "1 h"\naudience = "nurse"\n',
        '[units]\nglucose_interstitial = "g/L"\n',
        '[bounds.gain]\ndelta = ["1.8 kg", "2.5 kg"]\n',
        'title = { fr = "Mme D.", en = "Mrs D." }\n',
    ],
)
def test_what_a_pack_lets_be_done_is_done(text: str) -> None:
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ('[adapt.gain]\ndelta = "1.499 kg"\n', "rules.gain.delta", "1.5 kg to 3.0 kg; the physician must widen"),
        ('[adapt.gain]\ndelta = "3.001 kg"\n', "rules.gain.delta", "the physician must widen them"),
        ('[adapt.gain]\nwindow = "6 days"\n', "rules.gain.window", "2 days to 5 days"),
        ('[adapt.gain]\nslack = "1 h"\n', "rules.gain.slack", "the pack fixes this value (12 h)"),
        ('[adapt.gain]\ndirection = "fall"\n', "rules.gain.direction", "the pack fixes this value (rise)"),
        ('[adapt.gain]\nlatched = true\nrefractory = "1 h"\n', "rules.gain.refractory", "the pack fixes"),
        ('[adapt.gain]\nabsorbs = ["loss"]\n', "rules.gain.absorbs", "the pack fixes"),
        ("[adapt.gain]\ndigest = true\n", "rules.gain.digest", "the pack fixes"),
        ('[adapt.gain]\naudience = "patient_now"\n', "rules.gain.audience", "the pack fixes"),
        ('[adapt.gain]\nquantity = "bmi"\n', "adapt.gain.quantity", "another rule"),
        ('[adapt.gain]\nid = "gains"\n', "adapt.gain.id", "another rule"),
        ('[adapt.gain]\nkind = "level"\n', "adapt.gain.kind", "another rule"),
        ('[adapt.gain]\ndleta = "2 kg"\n', "rules.gain.dleta", 'did you mean "delta"'),
        ('[adapt.gain]\ndelta = "2 mg/dL"\n', "rules.gain.delta", "not measured in mg/dL"),
        ('[adapt.gian]\ndelta = "2 kg"\n', "adapt.gian", 'did you mean "gain"'),
        ("[adapt]\ngain = 3\n", "adapt.gain", "a table a rule"),
        ("adapt = 3\n", "adapt", "a table a rule"),
        ('[adapt.loss]\ndelta = "9 %"\n', "rules.loss.delta", "4 % to 8 %"),
        ('[adapt.loss]\npriority = "low"\nper_day = 1\n', "rules.loss.per_day", "the pack fixes"),
        ('[adapt.low]\nthreshold = "55 mg/dL"\n', "rules.low.threshold", "60 mg/dL to 72.1 mg/dL"),
        ('[adapt.low]\nend_persist = "2 h"\nside = "at_most"\n', "rules.low.side", "the pack fixes"),
        ('[adapt.no_weight]\nby = "15:00"\n', "rules.no_weight.by", "09:00 to 14:00"),
        ('[adapt.no_weight]\non = ["mon"]\n', "rules.no_weight.on", "(mon, thu)"),
        ('[adapt.no_weight]\ngrace = "3 h"\n', "rules.no_weight.grace", "the pack fixes this value (2 h)"),
        ('[adapt.no_glucose_interstitial]\nexpected = "3 days"\n', "rules.no_glucose_interstitial.expected", "fixes"),
        ('[transmission]\nnot_transmitted_after = "13 h"\n', "transmission.not_transmitted_after", "2 h to 12 h"),
        ("transmission = 3\n", "transmission", "a table"),
        (
            '[quantities.glucose_interstitial]\ngap = "30 min"\n',
            "quantities.glucose_interstitial.gap",
            "the pack fixes this value (45 min)",
        ),
        ('[quantities.body_weight]\ncadence = "1 day"\ngap = "2 days"\n', "quantities.body_weight.cadence", "fixes"),
        ('[telling]\nquiet = ["21:00", "07:00"]\n', "telling.quiet", "quiet hours"),
        ('[telling]\nquiet = ["08:00", "12:00"]\n', "telling.quiet", "quiet hours"),
        ('[telling]\nquiet = ["23:00", "22:30"]\n', "telling.quiet", "quiet hours"),
        ("[telling]\nat_most = 4\n", "telling.at_most", "5 to 20"),
        ('[telling]\nwithin = "20 min"\n', "telling.within", "the pack fixes"),
        ('[telling]\nlongest_shelf = "8 days"\n', "telling.longest_shelf", "the pack fixes this value (7 days)"),
        ('[telling]\ndue = { high = "20 min" }\n', "telling.due.high", "only be made shorter"),
        ('[[telling.steps]]\npriority = "high"\nafter = "1 h"\naudience = "nurse"\n', "telling.steps", "already fixes"),
        ('[bounds.gain]\ndelta = ["1.5 kg", "3.5 kg"]\n', "bounds.gain.delta", "only be made narrower"),
        ('[bounds.gain]\nslack = ["6 h", "24 h"]\n', "bounds.gain.slack", "only be made narrower"),
        ('[sources]\npaper = "Another one"\n', "sources.paper", "another source"),
        ('remove = ["gain"]\n', "remove.0", "the pack keeps"),
        ('remove = ["lots"]\n', "remove.0", "unknown"),
        ('remove = "loss"\n', "remove", "ids of rules"),
        ('remove = ["no_weight"]\n', "remove.0", "absence"),
        ('keep = ["lots"]\n', "keep", "unknown"),
        ("keep = 3\n", "keep", "ids of rules"),
        ("rules = 3\n", "rules", "[[rules]]"),
        ("surprise = 3\n", "surprise", "unknown"),
        ("bounds = 3\n", "bounds", "a table"),
        (table("gain", FORMS["baseline"]), "rules.gain.id", "[adapt.ID]"),
        ('remove = ["loss"]\n' + table("loss", FORMS["baseline"]), "rules.loss.id", "not written anew"),
        (table("mine", FORMS["baseline"] + '\nabsorbs = ["gain"]'), "rules.mine.absorbs", "cannot silence"),
    ],
)
def test_what_a_pack_does_not_let_be_done_is_said(text: str, key: str, word: str) -> None:
    found = [fault for fault in wrong(text) if word in fault.message.en]
    assert [fault.key for fault in found] == [key]
    assert found[0].message.fr


def test_a_fault_is_on_the_line_of_this_file_not_of_the_pack() -> None:
    text = HEIR + table("mine", FORMS["rate"].replace("3 mg", "1 mg")) + '[adapt.gain]\ndelta = "9 kg"\n'
    found = {fault.key: fault.line for fault in faults(text, service=PACK)}
    assert found["rules.gain.delta"] == line(text, 'delta = "9 kg"')
    text = HEIR + "[telling]\n" + '[[telling.steps]]\npriority = "high"\nafter = "nine"\naudience = "nurse"\n'
    found = {fault.key: fault.line for fault in faults(text, service=PACK)}
    assert found["telling.steps.1.after"] == line(text, "after = ")
    text = HEIR + table("mine", FORMS["rate"].replace('"3 mg/dL"', '"3 kg"'))
    (fault,) = faults(text, service=PACK)
    assert (fault.key, fault.line) == ("rules.mine.per_minute", line(text, "per_minute"))


def test_an_absence_goes_when_nothing_judges_the_quantity_any_more() -> None:
    pack = PACK.replace('keep = ["gain"]\n', "")
    mine = read(HEIR + 'remove = ["gain", "loss", "no_weight"]\n', service=pack)
    assert all(rule.quantity is not Quantity.BODY_WEIGHT for rule in mine.rules)
    again = HEIR + 'remove = ["gain", "loss", "no_weight"]\n' + table("fast", FORMS["baseline"])
    assert {fault.key for fault in faults(again, service=pack)} == {"remove.2"}
    scored = table("heart", FORMS["score_heart"]) + absence("spo2") + absence("pulse_rate")
    again = HEIR + 'remove = ["gain", "loss", "no_weight"]\n' + scored
    assert {fault.key for fault in faults(again, service=pack)} == {"remove.2"}


def test_what_is_written_beside_the_pack_is_kept() -> None:
    mine = read(
        HEIR
        + '[transmission]\nnot_transmitted_after = "4 h"\n[units]\nglucose_interstitial = "mmol/L"\n'
        + '[telling]\nquiet = ["23:00", "06:00"]\n'
        + '[[telling.steps]]\npriority = "low"\nafter = "1 h"\naudience = "nurse"\n',
        service=PACK,
    )
    assert (mine.not_transmitted_after, mine.telling.quiet, mine.telling.at_most) == (4 * HOUR, (1380, 360), 10)
    assert len(mine.telling.steps) == 2
    assert mine.units == {Quantity.GLUCOSE_INTERSTITIAL: Unit.MMOL_PER_L}


def test_a_pack_may_inherit_a_pack() -> None:
    frail = (
        HEIR.replace("mme_d", "frail") + '[adapt.gain]\ndelta = "1.8 kg"\n[bounds.gain]\ndelta = ["1.6 kg", "2.0 kg"]\n'
    )
    packs = {"service": PACK, "frail.toml": frail}
    heir = HEIR.replace('"service"', '"frail.toml"')
    mine = read(heir + '[adapt.gain]\nwindow = "4 days"\n[adapt.no_weight]\ngrace = "30 min"\n', **packs)
    assert mine.pack == "frail 1"
    gain, missing = mine.rules[0], mine.rules[5]
    assert isinstance(gain, ChangeRule)
    assert isinstance(missing, MissingRule)
    assert (gain.delta, gain.window, missing.grace) == (1800, 4 * DAY, 30 * MINUTE)
    (fault,) = faults(heir + '[adapt.gain]\ndelta = "2.5 kg"\n', **packs)
    assert "1.6 kg to 2.0 kg" in fault.message.en


def test_a_pack_that_is_not_there_or_inherits_itself_is_said() -> None:
    for text in (HEIR, HEIR.replace('"service"', '"../secret"'), HEIR.replace('"service"', "3")):
        (fault,) = faults(text)
        assert (fault.key, fault.line) == ("pack", 4)
        assert "no such pack" in fault.message.en
    (fault,) = faults(HEIR, service=HEIR)
    assert "inherits itself" in fault.message.en
    chain = {f"p{index}.toml": HEIR.replace('"service"', f'"p{index + 1}.toml"') for index in range(9)}
    (fault,) = faults(HEIR.replace('"service"', '"p0.toml"'), **chain)
    assert "at most 4" in fault.message.en


def test_the_faults_of_a_pack_are_told_to_whoever_takes_it() -> None:
    found = faults(HEIR, service=PACK.replace('"1.5 kg", "3.0 kg"', '"2.5 kg", "3.0 kg"').replace("cadence", "cadens"))
    assert {fault.key for fault in found} == {"pack"}
    assert all(fault.message.en.startswith("in service, ") for fault in found)
    assert any("rules.gain.delta" in fault.message.en for fault in found)
    (fault,) = faults(HEIR, service="= 3")
    assert fault.message.en.startswith("in service, (l. 1): on the left of the =")


def test_limits_of_a_rule_of_ones_own_are_ones_own() -> None:
    added = table("mine", FORMS["baseline"]) + '[bounds.mine]\ndelta = ["1 kg", "3 kg"]\n'
    mine = read(HEIR + added, service=PACK)
    assert mine.bounds[-1] == Bound(rule="mine", key="delta", low=1000, high=3000)


def test_quiet_hours_that_the_pack_does_not_know_are_the_physicians() -> None:
    quiet = 'quiet = ["22:00", "07:00"]\n'
    (fault,) = faults(HEIR + "[telling]\n" + quiet, service=PACK.replace(quiet, ""))
    assert fault.key == "telling.quiet"


def test_a_pack_is_looked_for_only_where_there_are_packs() -> None:
    with pytest.raises(ProtocolError, match="no such pack"):
        read_protocol(HEIR.encode(), name_hint="mine")


def test_without_a_pack_there_is_nothing_to_adapt_or_remove() -> None:
    text = 'remove = ["gain"]\n' + PACK + '[adapt.gain]\ndelta = "2.5 kg"\n'
    assert [fault.key for fault in faults(text)] == ["adapt", "remove"]


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ('["1.5 kg", "3.0 kg"]', '["3.0 kg", "1.5 kg"]', "bounds.gain.delta", "the least and the greatest"),
        ('["1.5 kg", "3.0 kg"]', '"1.5 kg"', "bounds.gain.delta", "the least and the greatest"),
        ('["1.5 kg", "3.0 kg"]', '["1.5 kg"]', "bounds.gain.delta", "the least and the greatest"),
        ('["1.5 kg", "3.0 kg"]', '["1.5 kg", "3"]', "bounds.gain.delta", "with a point and its unit"),
        ('["1.5 kg", "3.0 kg"]', '["1.5 kg", "3 mg/dL"]', "bounds.gain.delta", "not measured in mg/dL"),
        ('["4 %", "8 %"]', '["4 %", "3 kg"]', "bounds.loss.delta", "written in %"),
        ("delta = [", "dleta = [", "bounds.gain.dleta", 'did you mean "delta"'),
        ('delta = ["1.5 kg", "3.0 kg"]', "title = [1, 2]", "bounds.gain.title", "both languages"),
        ('delta = ["1.5 kg", "3.0 kg"]', "latched = [true, true]", "bounds.gain.latched", "the least and the greatest"),
        ("[bounds.gain]", "[bounds.gane]", "bounds.gane", 'did you mean "gain"'),
        ('[bounds.gain]\ndelta = ["1.5 kg", "3.0 kg"]\nwindow = ["2 days", "5 days"]', "[bounds]\ngain = 3",
         "bounds.gain", "the least and the greatest"),
        ('["1.5 kg", "3.0 kg"]', '["2.5 kg", "3.0 kg"]', "rules.gain.delta", "outside the bounds"),
        ("cadence = [", "gap = [", "quantities.glucose_interstitial.gap", "outside the bounds"),
        ('keep = ["gain"]', 'keep = ["gane"]', "keep", 'did you mean "gain"'),
        ('id = "stuck"', 'id = "telling"', "rules.telling.id", "choose another id"),
    ],
)  # fmt: skip
def test_bounds_that_are_none_are_refused(old: str, new: str, key: str, word: str) -> None:
    assert old in PACK
    (fault,) = (fault for fault in faults(PACK.replace(old, new, 1)) if word in fault.message.en)
    assert fault.key == key


def test_bounds_of_a_rule_that_could_not_be_read_wait_for_it() -> None:
    (fault,) = faults(PACK.replace('delta = "2.0 kg"', 'delta = "2.0 mg/dL"', 1))
    assert fault.key == "rules.gain.delta"
    assert faults("bounds = 3\n" + HEAD + WORDS)
    assert faults('rules = 3\nkeep = ["x"]\n[bounds.gain]\ndelta = 3\n')


def test_remarks_do_not_refuse() -> None:
    checked = check_protocol((HEIR + '[quantities.glucose_interstitial]\ncadence = "15 min"\n').encode(),
                             packs=shelf({"service": PACK.replace('gap = "45 min"', 'gap = "20 min"', 1)}))  # fmt: skip
    assert checked.protocol is not None
    assert [remark.key for remark in checked.remarks] == ["quantities.glucose_interstitial.gap"]

"""A file that cannot be read: the slip, its line and what to do, and not the words of the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.protocol_file import check_protocol
from tests.alerting.protocols import faults, only_form, shelf
from tests.alerting.test_protocol_pack import HEIR, PACK

HEAD = 'schema = 1\nname = "mine"\nversion = 1\n'


@pytest.mark.parametrize(
    ("text", "line", "fr", "en"),
    [
        ('[rules]\nid = "ab"\n[rules]\nid = "cd"\n', 4, "écrire [[rules]]", "write [[rules]]"),
        ('[rules]\nid = "ab"\n[[rules]]\nid = "cd"\n', 4, "écrire [[rules]]", "write [[rules]]"),
        ('name = "again"\n', 4, "déjà écrite plus haut", "already written above"),
        ('title = { fr = "a", fr = "b" }\n', 4, "déjà écrite plus haut", "already written above"),
        ("[telling]\n[telling]\n", 5, "cette table est déjà écrite", "this table is already written"),
        ("a = “b”\n", 4, "guillemets courbes ou français", "curly or French quotes"),
        ('title = { fr = «a», en = "b" }\n', 4, "guillemets courbes ou français", "curly or French quotes"),
        ('title = { fr = "a”, en = "b" }\n', 4, "guillemets courbes ou français", "curly or French quotes"),
        ('a = ["b]\n', 4, "il manque un guillemet droit", "a straight quote"),
        ('a = b"\n', 4, "il manque un guillemet droit", "a straight quote"),
        ('title = { fr = "la « pesée », en = "x" }\n', 4, "il manque un guillemet droit", "a straight quote"),
        ("kind = level\n", 4, 'kind = "level"', 'kind = "level"'),
        ("a = 54 mg/dL # 54\n", 4, 'a = "54 mg/dL"', "in straight quotes"),
        ("by = 11:00\n", 4, 'by = "11:00"', 'by = "11:00"'),
        ("a = Oui\n", 4, "true (oui)", "true or false"),
        ("a =\n", 4, "il manque la valeur après a =", "the value after a = is lacking"),
        ('a "b"\n', 4, "il manque le signe =", "the = is lacking"),
        ('délai = "3 h"\n', 4, "sans accent", "without accents"),
        ('a\u00a0= "b"\n', 4, "espace insécable", "no-break space"),
        ('a = { fr = "a" en = "b" }\n', 4, "il manque une virgule", "a comma is lacking"),
        ('a = ["a",\n"b"\n[telling]\nat_most = 3\n', 4, "n'est pas fermée", "is not closed"),
        ('a = """b\n\n\n', 4, "n'est pas fermée", "is not closed"),
        ('title = {\nfr = "a", en = "b" }\n', 4, "tient sur une seule ligne", "is on one line"),
        ("[telling\n", 4, "[, ], { ou }", "[, ], { or }"),
    ],
)
def test_a_slip_is_one_fault_on_its_line_in_words(text: str, line: int, fr: str, en: str) -> None:
    (fault,) = faults(HEAD + text)
    assert (fault.line, fault.key) == (line, "")
    assert fr in fault.message.fr
    assert en in fault.message.en
    for words in ("line 4", "column", "Expected", "Illegal"):
        assert words not in fault.message.fr + fault.message.en


@pytest.mark.parametrize(("key", "name"), [("rules", "[rules]"), ("telling.steps", "[telling.steps]")])
def test_one_bracket_for_two_is_told_where_the_file_can_be_read(key: str, name: str) -> None:
    found = faults(only_form("level").split("[[rules]]")[0] + f'\n{name}\nid = "low"\n')
    (fault,) = (fault for fault in found if fault.key == key)
    assert f"écrire [[{key}]]" in fault.message.fr
    assert fault.line is not None


def test_one_bracket_for_two_over_a_pack_is_the_only_fault() -> None:
    (fault,) = faults(HEIR + '[rules]\nid = "mine"\n', service=PACK)
    assert (fault.key, fault.line, "écrire [[rules]]" in fault.message.fr) == ("rules", 5, True)


def test_the_mark_that_windows_puts_before_a_text_is_accepted() -> None:
    marked = check_protocol(b"\xef\xbb\xbf" + HEIR.encode(), packs=shelf({"service": PACK}))
    plain = check_protocol(HEIR.encode(), packs=shelf({"service": PACK}))
    assert marked.protocol is not None
    assert marked == plain


@pytest.mark.parametrize(
    ("coding", "word", "line"),
    [("utf-16", "Pesée", 1), ("utf-16-le", "Pesee", 1), ("utf-16-be", "Pesee", 1), ("cp1252", "Pesée", 4)],
)
def test_another_coding_is_told_with_the_way_to_save_the_file(coding: str, word: str, line: int) -> None:
    checked = check_protocol((HEAD + f'title = {{ fr = "{word}", en = "Weighing" }}\n').encode(coding))
    (fault,) = checked.faults
    assert "en UTF-8 (Bloc-notes : Enregistrer sous, Codage UTF-8)" in fault.message.fr
    assert "UTF-8 (Notepad: Save as, Encoding UTF-8)" in fault.message.en
    assert fault.line == line


@given(st.text(alphabet="a=[]{}\"'“«#,.\n\r\u00a0\u2028é1 \\", max_size=30))
def test_whatever_cannot_be_read_is_a_fault_on_a_line_of_the_file(text: str) -> None:
    for fault in check_protocol(text.encode()).faults:
        assert fault.message.fr
        assert fault.line is None or 1 <= fault.line <= text.count("\n") + 1

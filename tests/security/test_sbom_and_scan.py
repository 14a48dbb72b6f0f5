"""The bill of materials is whole, and a scan that looked nothing up is not taken for a clean one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.security.kit import ROOT

BOX = ROOT / "requirements" / "box.txt"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "requirements" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sbom, scan = load("sbom"), load("scan")


def test_the_bill_lists_every_locked_library_with_its_hashes_and_its_licence(tmp_path: Path) -> None:
    file = tmp_path / "box.cdx.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "requirements" / "sbom.py"), "-o", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(file.read_text(encoding="utf-8"))
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    text = BOX.read_text(encoding="utf-8")
    pinned = [line.split(" ")[0] for line in text.splitlines() if "==" in line and not line.startswith(" ")]
    assert [f"{one['name']}=={one['version']}" for one in made["components"]] == pinned
    listed = [
        item["content"] for one in made["components"] for ref in one["externalReferences"] for item in ref["hashes"]
    ]
    assert len(listed) == text.count("--hash=sha256:")
    assert all(one["licenses"][0] for one in made["components"])
    licences = {one["name"]: one["licenses"] for one in made["components"]}
    assert licences["cryptography"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]
    assert made["dependencies"][0]["dependsOn"] == [one["bom-ref"] for one in made["components"]]


def test_the_same_libraries_make_the_same_bill() -> None:
    libraries = sbom.locked(BOX.read_text(encoding="utf-8"))
    one = sbom.bill(libraries, program="1")
    assert one == sbom.bill(libraries, program="1")
    assert one["serialNumber"] != sbom.bill(libraries[1:], program="1")["serialNumber"]


def test_a_library_that_is_not_there_makes_no_bill(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "box.txt"
    file.write_text(f"msgspec==0.0.1 \\\n    --hash=sha256:{'0' * 64}\nno-such-library==1\n", encoding="utf-8")
    assert sbom.main([str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "msgspec==0.0.1 (here " in said.err
    assert "no-such-library==1" in said.err


def item(name: str, *known: str) -> dict[str, object]:
    return {"name": name, "version": "1.0", "vulns": [{"id": identifier} for identifier in known]}


SKIPPED = {"name": "bleak", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("items", "code", "words"),
    [
        ([item("a"), item("b")], 0, "All 2 libraries were looked up; none"),
        ([item("a"), item("b", "CVE-1", "CVE-2")], 1, "b 1.0: CVE-1, CVE-2"),
        ([item("a"), SKIPPED], 2, "1 of 2 libraries could not be looked up: nothing is known of bleak."),
        ([SKIPPED], 2, "1 of 1 libraries could not be looked up"),
        ([SKIPPED, item("b", "CVE-1")], 1, "b 1.0: CVE-1"),
        ([], 2, "nothing was looked up"),
    ],
)
def test_a_scan_that_looked_nothing_up_is_not_taken_for_a_clean_one(items: list[object], code: int, words: str) -> None:
    found = scan.outcome(json.dumps({"dependencies": items, "fixes": []}))
    assert found.exit_code == code
    assert words in "\n".join(found.lines())


def test_a_scanner_that_fails_is_said_to_have_failed() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "requirements" / "scan.py"), "/nowhere/box.txt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("scan: the database of vulnerabilities could not be asked: ")

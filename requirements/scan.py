"""python requirements/scan.py [REQUIREMENTS]: known vulnerabilities of what a box installs, by pip-audit.

pip-audit says "no known vulnerabilities" also of a library that it could not look up. Here that is not a clean result:
either every locked library was looked up, or it is said which were not, and the exit code is 2. 0: all were looked up
and none has a known vulnerability. 1: some have.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BOX = Path(__file__).with_name("box.txt")
LIMIT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a scan.

    Attributes:
        looked_up: libraries that the database knows.
        skipped: libraries that it was not asked about, or does not know.
        vulnerable: library and identifiers of what is known of it.
    """

    looked_up: tuple[str, ...]
    skipped: tuple[str, ...]
    vulnerable: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def exit_code(self) -> int:
        """0 clean, 1 vulnerable, 2 not looked up."""
        if self.vulnerable:
            return 1
        return 2 if self.skipped or not self.looked_up else 0

    def lines(self) -> list[str]:
        """Return it in words."""
        total = len(self.looked_up) + len(self.skipped)
        said = [f"{name}: {', '.join(known)}" for name, known in self.vulnerable]
        if self.skipped:
            names = ", ".join(self.skipped)
            said.append(
                f"{len(self.skipped)} of {total} libraries could not be looked up: nothing is known of {names}."
            )
            said.append("Run it where the database of vulnerabilities can be reached (PyPI's, or -s osv).")
        elif not self.looked_up:
            said.append("The report names no library: nothing was looked up.")
        elif not said:
            said.append(f"All {total} libraries were looked up; none has a known vulnerability.")
        return said


def outcome(report: str) -> Outcome:
    """Return what a report of pip-audit in JSON says.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(report)
    if not isinstance(found, dict) or not isinstance(found.get("dependencies"), list):
        raise ValueError("not a report of pip-audit")  # noqa: TRY004 - what is wrong is the report
    looked_up, skipped = [], []
    vulnerable = []
    for item in found["dependencies"]:
        if "skip_reason" in item:
            skipped.append(item["name"])
            continue
        name = f"{item['name']} {item['version']}"
        looked_up.append(name)
        if item["vulns"]:
            vulnerable.append((name, tuple(known["id"] for known in item["vulns"])))
    return Outcome(looked_up=tuple(looked_up), skipped=tuple(skipped), vulnerable=tuple(vulnerable))


def main(arguments: list[str] | None = None) -> int:
    """Scan, say what was found, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python requirements/scan.py", description=__doc__)
    parser.add_argument("requirements", nargs="?", type=Path, default=BOX)
    parser.add_argument("-s", "--service", choices=("pypi", "osv"), default="pypi")
    wanted = parser.parse_args(arguments)
    line = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    line += ["--format", "json", "--vulnerability-service", wanted.service, "--requirement", str(wanted.requirements)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=LIMIT_S)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"scan: the database of vulnerabilities did not answer within {LIMIT_S} s\n")
        return 2
    try:
        found = outcome(done.stdout)
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        sys.stderr.write(f"scan: the database of vulnerabilities could not be asked: {why}\n")
        return 2
    for said in found.lines():
        sys.stdout.write(f"{said}\n")
    return found.exit_code


if __name__ == "__main__":
    sys.exit(main())

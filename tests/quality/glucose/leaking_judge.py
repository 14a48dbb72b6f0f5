"""Judges that look ahead on purpose: python leaking_judge.py (remember|peek) FILE.

Both alarm on a centred mean. `remember` writes what it is asked about to FILE and, when it is asked again, reads what
comes next from there. `peek` finds it in FILE, which holds the whole recording from the start.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    mode, file = sys.argv[1], Path(sys.argv[2])
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    seen: dict[str, int] = {}
    for line in sys.stdin:
        if line.startswith("{"):
            continue
        time, count = line.split()
        seen[time] = int(count)
        ahead = known.get(str(int(time) + 300_000), int(count))
        mean = (int(count) + ahead) / 2
        if mode == "remember":
            file.write_text(json.dumps(seen))
        print(f"{time} {-mean!r} {int(mean < 750)} ", flush=True)


main()

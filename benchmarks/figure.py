"""A figure: one JSON line with its median, its spread and the machine it came from."""

import json
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def machine() -> str:
    """Return what ran it, without naming it."""
    model = platform.processor() or platform.machine()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = {line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")}
    return f"{', '.join(sorted(names)) or model}; {os.cpu_count()} CPUs; Linux; Python {platform.python_version()}"


def say(figure: str, unit: str, values: Sequence[float], **facts: object) -> None:
    """Print one figure: median, lowest and highest of the values, and p99 when there are at least 100."""
    line: dict[str, object] = {
        "figure": figure,
        "unit": unit,
        "p50": round(median(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
        "n": len(values),
    }
    if len(values) >= 100:
        line["p99"] = round(quantile(values, 0.99), 4)
    print(json.dumps({**line, **facts, "machine": machine()}, ensure_ascii=False), flush=True)

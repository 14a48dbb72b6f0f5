"""What is told of a process at rest is what the kernel counts, and the box that rests has the settings that ship."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.settings import ForwarderSettings, RadioSettings, WatchSettings
from agent.settings_file import read_settings
from benchmarks.at_rest import Watch, at_rest, usage
from simulators.clock import AcceleratedClock
from simulators.processes import Child
from simulators.world import World, WorldSettings

GROWS = """
import os, resource, sys
sys.stdout.write("begun\\n"); sys.stdout.flush(); sys.stdin.readline()
while resource.getrusage(resource.RUSAGE_SELF).ru_utime < 0.4: pass
kept = bytearray(os.urandom(1 << 20)) * 32
use = resource.getrusage(resource.RUSAGE_SELF)
sys.stdout.write(f"{use.ru_utime + use.ru_stime} {use.ru_maxrss}\\n"); sys.stdout.flush(); sys.stdin.readline()
"""
"""A process that takes 32 MiB and a third of a second of a processor. A process of its own: this one has memory that it
gave up and takes again without growing."""


def test_a_process_is_told_as_its_own_kernel_counts_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as grows:
        assert grows.stdin is not None
        assert grows.stdout is not None
        assert grows.stdout.readline() == "begun\n"
        before = usage(grows.pid)
        grows.stdin.write("on\n")
        cpu_s, most_kib = grows.stdout.readline().split()
        after = usage(grows.pid)
        grows.stdin.write("end\n")
    assert before.cpu_s < after.cpu_s == pytest.approx(float(cpu_s), abs=0.05)
    assert after.resident - before.resident > 16 << 20
    assert before.proportional <= before.resident <= before.peak
    assert after.resident <= after.peak + (1 << 20)
    assert after.peak // 1024 <= int(most_kib) + 4096  # What it had before it became this program counts there too.


def test_a_thread_that_was_woken_is_counted() -> None:
    before = usage(os.getpid())
    for _ in range(20):
        time.sleep(0.001)
    assert usage(os.getpid()).waits - before.waits >= 20


def test_a_line_tells_use_a_minute_between_the_first_look_and_the_last(tmp_path: Path) -> None:
    watch = Watch("box", Child("box", (), folder=tmp_path, on_event=lambda *_: None))
    first = replace(usage(os.getpid()), cpu_s=10.0, waits=100, preempted=5, written=1000, resident=64 << 20)
    second = replace(first, cpu_s=10.5, resident=70 << 20)
    third = replace(first, cpu_s=11.5, waits=220, written=5000, resident=65 << 20)
    watch.seen = [(0.0, first), (60.0, second), (120.0, third)]
    line = watch.line()
    assert (line["cpu_s_a_minute"], line["cpu_s_a_minute_most"]) == (0.75, 1.0)
    assert (line["wakeups_a_second"], line["preempted_a_second"]) == (1.0, 0.0)
    assert (line["written_bytes_a_minute"], line["rss_mib"], line["rss_grown_mib"]) == (2000, 70.0, 1.0)


def test_a_process_that_has_ended_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="has ended"):
        Watch("box", Child("box", (), folder=tmp_path, on_event=lambda *_: None)).look()


@pytest.mark.broker
def test_the_box_that_rests_is_as_patient_as_one_that_ships(tmp_path: Path) -> None:
    clock = AcceleratedClock.starting_now(start_ms=1_763_800_000_000, speed=1.0)
    path = World(WorldSettings(folder=tmp_path / "world", clock=clock), on_event=lambda *_: None).agent_settings
    impatient = read_settings(path)
    path.write_text(at_rest(path.read_text(encoding="utf-8")), encoding="utf-8")
    settings = read_settings(path)
    assert impatient.forwarder != ForwarderSettings()
    assert (settings.forwarder, settings.radio, settings.watch) == (
        ForwarderSettings(),
        RadioSettings(),
        WatchSettings(),
    )
    assert settings.broker.keepalive == 30
    assert len(settings.devices) == len(impatient.devices) > 0
    assert len(settings.patients) == len(impatient.patients) > 0

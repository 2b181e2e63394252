"""What the kernel knows about a process: CPU of all threads, memory, and this disk's fdatasync."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.summary import median

SERVER_CORE = 0
LOAD_CORE = 1


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads of *pid*, in nanoseconds.

    From schedstat, which counts to the nanosecond; the clock ticks of ``stat`` are 10 ms.
    """
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_bytes().split(b" ", 1)[0])
        except OSError:  # a thread that ended meanwhile
            continue
    return total


def pss_kb(pid: int) -> int:
    """Return the proportional set size of *pid* in kB (1024 bytes)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise OSError("no Pss in smaps_rollup")
    return int(found[1])


def pin(core: int, pid: int = 0) -> None:
    """Keep *pid* (0 = this process) on *core*, where there is one to spare and it is allowed."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2 and pid == 0:
        return
    try:
        os.sched_setaffinity(pid, {core})
    except OSError:
        pass


def raise_file_limit() -> int:
    """Take as many file descriptors as we may; return how many that is."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def fdatasync_ms(folder: Path, rounds: int = 200) -> float:
    """Return the median time of one fdatasync after a 4 kB append in *folder*, in milliseconds."""
    name = folder / "fdatasync.probe"
    times = []
    handle = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for _ in range(rounds):
            os.write(handle, b"x" * 4096)
            begun = time.perf_counter()
            os.fdatasync(handle)
            times.append((time.perf_counter() - begun) * 1e3)
    finally:
        os.close(handle)
        name.unlink()
    return median(times)


def gauges(text: str, names: Iterable[str]) -> dict[str, float]:
    """Read unlabelled metrics out of a Prometheus page; those that are not there are left out."""
    found = {}
    for name in names:
        match = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        if match is not None:
            found[name] = float(match[1])
    return found

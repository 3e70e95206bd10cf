"""What figures were made with: the day, the commit, and the machine."""

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def made_with(**more: Any) -> dict[str, Any]:
    """date, commit, and machine: processor, cores, python, threads that were asked for, and what else is to be said."""
    machine = {
        "processor": processor(), "cores": os.cpu_count(), "python": platform.python_version(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }  # fmt: skip
    return {"date": time.strftime("%Y-%m-%d"), "commit": commit(), "machine": {**machine, **more}}


def commit() -> str:
    """The commit that is measured."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=True)
    return found.stdout.strip()


def processor() -> str:
    """The name that it gives itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()

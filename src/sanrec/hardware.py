"""What a machine is called, found without torch: the Snakefile names measurements by it."""

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from sanrec.config import Config


def machine_of(config: Config) -> str:
    """The name under which this machine's measurements are kept: config key `machine`, or made from its hardware's."""
    return slug(hardware_name(config.device)) if config.machine == "auto" else config.machine


def hardware_name(device: str) -> str:
    """The name of the GPU that `device` (as in the config) leads to, else the processor's and its threads."""
    gpus = () if device == "cpu" else gpu_names()
    place = int(device.partition(":")[2] or 0)
    return gpus[place] if place < len(gpus) else f"{processor_name()}, {os.cpu_count()} threads"


@cache
def gpu_names() -> tuple[str, ...]:
    """The GPUs that the driver lists; none where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words alone
    return tuple(filter(None, map(str.strip, listed.stdout.splitlines()))) if listed.returncode == 0 else ()


@cache
def processor_name() -> str:
    """The processor's name as the system knows it."""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def slug(name: str) -> str:
    """A name as it may stand in a path: `AMD EPYC, 2 threads` becomes `amd-epyc-2-threads`."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")

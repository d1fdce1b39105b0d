"""What a run's numbers depend on beside its settings: the machine, its memory, and the versions of libraries."""

import ctypes
import gc
import os
import platform
import resource
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from sanrec.hardware import processor_name

LIBRARIES = ("sanrec", "torch", "transformers", "peft", "numpy", "pandas", "zarr", "scipy")
PROCESS = Path("/proc/self/status")  # Linux alone has it
KEPT_KERNELS = 64  # as oneDNN counts them; it would keep 1,024, and a step asks for a few dozen
PEAK_RESET = Path("/proc/self/clear_refs")  # writing 5 sets the peak to what is held now (proc(5))


def use_threads(count: int) -> None:
    """Compute with so many threads, and keep few of the kernels that oneDNN makes for half-precision matrix products.

    It makes one for each shape, and the number of items is another in each batch: 0.1 GB of them after 24 steps of
    CROSSAN on MicroLens, while to make some again takes 8 ms of a step's second (docs: performance). Without effect on
    those once the process has multiplied in half precision; a user's own choice stays.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT_KERNELS))
    torch.set_num_threads(count)


def reset_peak_memory(device: torch.device) -> None:
    """Begin to count the GPU allocator's peak anew. A process' own peak cannot be reset: give each run a process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def restart_peak_memory(device: torch.device) -> bool:
    """Begin to count the peak anew, of a process too where Linux can, so that one can measure several things in turn.

    What is no longer used goes back to the system first, for the C library keeps much of what was freed. False where
    the peak stays that since the process' start.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return True
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # glibc alone has it
    if trim is not None:
        trim(0)
    try:
        PEAK_RESET.write_text("5")
    except OSError:
        return False
    return True


def peak_memory(device: torch.device) -> int:
    """Most bytes held: by the GPU's allocator since the reset, or by this process since its start, or its own reset."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if PROCESS.exists():  # rusage would also count what the process that started this one held at that moment
        for line in PROCESS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@cache
def machine_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the number of threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor_name()}, {torch.get_num_threads()} of {os.cpu_count()} threads"


def versions() -> dict[str, str]:
    """Python's and the installed libraries' versions."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

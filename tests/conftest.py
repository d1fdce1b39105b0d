"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Property tests have no time limit, neither for an example nor for drawing it: on a busy machine that fails tests, and
# says nothing of the code. Examples stay random, whatever CI's variables say, and a failing one is printed whole.
settings.register_profile(
    "sanrec",
    parent=settings.get_profile("default"),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sanrec")

# before torch is imported: small tensors on several threads in workers side by side mostly wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: SANREC_REAL_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("SANREC_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder} (set SANREC_REAL_DATA to their folder)")
    return folder

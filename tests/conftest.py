"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

# before torch is imported: small tensors on several threads in workers side by side mostly wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: SANREC_REAL_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("SANREC_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder} (set SANREC_REAL_DATA to their folder)")
    return folder

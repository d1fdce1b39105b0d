"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: SANREC_REAL_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("SANREC_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder} (set SANREC_REAL_DATA to their folder)")
    return folder

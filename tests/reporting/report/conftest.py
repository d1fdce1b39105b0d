"""Results folders: an empty one, and one with something of everything."""

import pytest

from tests.browsing import browser, visit
from tests.reporting.report.folder import HOSTILE, Results

__all__ = ["browser", "visit"]


@pytest.fixture
def results(tmp_path):
    """An empty working folder."""
    return Results(tmp_path)


@pytest.fixture
def full(results):
    """One with something of everything, and hostile names in it."""
    results.table()
    results.table("table10", title=f"CROSSAN, Table 10 {HOSTILE}", rows=(HOSTILE, "b", "c"), dataset=HOSTILE)
    results.figure()
    results.run()
    results.run(model="iisan", seed=2, hit_ratio=0.2, machine=HOSTILE)
    results.run(model="iisan", seed=10, hit_ratio=0.05, peak_memory_bytes=5 * 2**30)
    covers = [(item, "cover", f"{item}.jpg", "no file") for item in ("7", "9")]
    results.media(rows=[*covers, (HOSTILE, "video", "", "x")])
    results.step()
    return results

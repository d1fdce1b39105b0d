"""The working folders that training is tested in, and recommendations made by hand."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sanrec import artifacts
from sanrec.data.prepare import ITEMS_SCHEMA
from sanrec.load import load_config
from sanrec.serving.catalogue import Catalogue
from sanrec.serving.recommend import Person, Recommendation, Recommendations
from tests.browsing import browser, visit
from tests.training.conftest import clips, made_shop, shop

__all__ = ["browser", "clips", "made_shop", "shop", "visit"]


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.fixture
def by_hand() -> SimpleNamespace:
    """Five items of the demo: user 7 took the first two and then the fifth; one without a title, one of bad manners."""
    config = load_config({})
    titles = ["Red fish", 'Fish & <b>chips</b> "now"', None, "\x1b[2JGone", "青い魚"]
    rows = [{"item": f"i{n}", "title": title} for n, title in enumerate(titles, 1)]
    catalogue = Catalogue("demo", pa.Table.from_pylist(rows, schema=ITEMS_SCHEMA), frozenset({"i9"}))
    weights = np.array([[0.25, 0.75], [1, 0], [0, 1], [0.5, 0.5], [0, 0]], np.float32)
    one = Recommendation(
        Person("7", 6, numbers(1, 2), numbers(5)), numbers(3, 5), np.array([2.5, -1], np.float32), numbers(2)
    )
    other = Recommendation(
        Person(None, None, numbers(3), numbers()), numbers(1, 4), np.array([0.5, 0.25], np.float32), numbers()
    )
    run = artifacts.run(config, "demo", "crossan", "TI")
    found = Recommendations(run, catalogue, (one, other), 10, ("title", "cover"), weights, "")
    return SimpleNamespace(config=config, found=found)

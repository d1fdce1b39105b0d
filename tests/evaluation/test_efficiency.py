"""TPME against hand-worked examples, and on CROSSAN's printed costs.

IISAN-Versa's text defines no TPME and prints none. The weights are those of IISAN (arXiv 2404.02059), whose own table
of TPME is not at hand: the formula is held to figures worked out by hand.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanrec.evaluation.efficiency import tpme
from sanrec.reporting.reference import read_reference
from sanrec.reporting.specs import COSTS, load_table

costs = st.lists(st.tuples(*[st.floats(0, 1e6)] * 3), min_size=1, max_size=6)


def test_by_hand():
    # seconds 10, 20, 30 lie at 0, 1/2, 1; parameters 5, 1, 9 at 1/2, 0, 1; memory 4, 12, 8 at 0, 1, 1/2
    found = tpme([10, 20, 30], [5, 1, 9], [4, 12, 8])
    assert found == pytest.approx([0.1 * 0.5, 0.45 * 0.5 + 0.45, 0.45 + 0.1 + 0.45 * 0.5], abs=1e-15)


def test_dearest_in_all_is_one_and_cheapest_in_all_is_none():
    assert tpme([3278, 144, 207], [195, 24, 30], [45886, 4272, 4476])[:2].tolist() == [1, 0]


def test_time_and_memory_weigh_alike_and_parameters_little():
    one = np.eye(3)
    assert [tpme(one[0], np.zeros(3), np.zeros(3))[0], tpme(np.zeros(3), one[0], np.zeros(3))[0]] == [0.45, 0.1]
    assert tpme(np.zeros(3), np.zeros(3), one[0])[0] == 0.45


def test_what_is_the_same_for_all_does_not_count():
    assert tpme([1, 2], [7, 7], [3, 3]).tolist() == [0, 0.45]
    assert tpme([1], [2], [3]).tolist() == [0]


@given(costs, st.floats(0.1, 1000))
def test_units_do_not_matter_and_values_lie_between_0_and_1(rows, unit):
    seconds, parameters, memory = np.array(rows).T
    found = tpme(seconds, parameters, memory)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    wide = min(np.ptp(column) for column in (seconds, parameters, memory)) > 1e-6
    if wide:
        np.testing.assert_allclose(tpme(seconds * unit, parameters, memory / unit), found, atol=1e-6)


def test_another_set_of_rows_gives_other_values():
    assert tpme([1, 2, 3], [1, 2, 3], [1, 2, 3])[1] == 0.5
    assert tpme([1, 2], [1, 2], [1, 2])[1] == 1


@pytest.mark.parametrize("bad", [([1, 2], [1], [1, 2]), ([], [], []), ([1, np.nan], [1, 2], [1, 2]), ([1], [-1], [1])])
def test_what_cannot_be_compared_is_refused(bad):
    with pytest.raises(ValueError, match=r"one value of each|numbers from 0 up"):
        tpme(*bad)


def test_on_the_papers_table_4(pytestconfig):
    """CROSSAN's printed costs, shares worked out: full fine-tuning is dearest in all three, CROSSAN cheapest in all."""
    table = load_table(pytestconfig.rootpath / "workflow/tables/table4.yaml")
    cells = read_reference(pytestconfig.rootpath / table.reference, table)
    labels = [row.label for row in table.rows if "cached" not in row.label]
    time, memory, parameters = ([float(cells.at[("Microlens-100K", r, c), "value"]) for r in labels] for c in COSTS)
    found = dict(zip(labels, tpme(time, parameters, memory), strict=True))
    adapter = 0.45 * 2712 / 3134 + 0.1 * 13_275_632 / 170_155_760 + 0.45 * 31_380 / 41_614
    best = 0.45 * 69 / 3134 + 0.1 * 33_691_368 / 170_155_760 + 0.45 * 1284 / 41_614
    assert found["Adapter(T+I)"] == pytest.approx(adapter, abs=1e-12)
    assert found["IISAN-E_best (T+I+V+A)"] == pytest.approx(best, abs=1e-12)
    assert (found["Full Finetuning (T+I)"], found["CROSSAN (T+I+V+A)"]) == (1, 0)

"""The protocol: the cut against a slow version, the split against its definition, and nothing held out in training."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanrec.data.interactions import cut
from sanrec.data.split import Sequences, log_popularity, popularity


def sequences(lists):
    """Sequences of these item lists, with as many items as the largest index says."""
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    items = np.concatenate([np.asarray(part, np.int32) for part in lists])
    users = np.array([f"u{n}" for n in range(len(lists))], dtype=object)
    return Sequences(items, offsets, users, np.arange(-1, items.max(), dtype=np.int32))


def unpadded(row):
    """A row's items, after checking that padding stands on the left only."""
    real = row[row != 0]
    assert row.tolist() == [0] * (len(row) - len(real)) + real.tolist()
    return real.tolist()


lists_of_items = st.lists(st.lists(st.integers(1, 30), min_size=3, max_size=16), min_size=1, max_size=8)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(3, 8), st.integers(3, 15))
def test_cut_against_a_slow_version(lengths, least, most):
    offsets = np.cumsum([0, *lengths])
    everything = [list(range(start, end)) for start, end in pairwise(offsets)]
    expected = {user: part[-most:] for user, part in enumerate(everything) if len(part) >= least}
    users, positions, kept = cut(offsets, least, most)
    found = {int(u): positions[kept[k] : kept[k + 1]].tolist() for k, u in enumerate(users)}
    assert found == expected
    assert list(found) == sorted(found)


@given(lists_of_items, st.integers(1, 14), st.randoms())
def test_every_part_against_its_definition(lists, length, random):
    data = sequences(lists)
    assert (data.user_count, data.item_count) == (len(lists), max(map(max, lists)))
    chosen = [random.randrange(len(lists)) for _ in range(random.randint(0, 5))]
    for users, wanted in ((None, lists), (np.array(chosen, int), [lists[u] for u in chosen])):
        windows = data.training(users, length)
        assert windows.shape == (len(wanted), length + 1)
        assert windows.dtype == np.int32
        assert [unpadded(row) for row in windows] == [part[:-2][-length - 1 :] for part in wanted]
        flat, offsets = data.training_items(users)
        assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == [p[:-2] for p in wanted]
        for split, back in (("validation", 1), ("test", 0)):
            inputs, targets = data.held_out(split, users, length)
            assert inputs.shape == (len(wanted), length)
            assert [unpadded(row) for row in inputs] == [part[: -1 - back][-length:] for part in wanted]
            assert targets.tolist() == [part[-1 - back] for part in wanted]
            flat, offsets = data.history(split, users)
            found = [flat[a:b].tolist() for a, b in pairwise(offsets)]
            assert found == [part[: -1 - back] for part in wanted]


@given(st.lists(st.integers(3, 16), min_size=1, max_size=8), st.integers(1, 20))
def test_no_held_out_item_reaches_training_or_popularity(lengths, length):
    ends = np.cumsum([0, *lengths])
    lists = [list(range(a + 1, b + 1)) for a, b in pairwise(ends)]  # no item occurs twice
    data = sequences(lists)
    held = {split: set(data.held_out(split)[1].tolist()) for split in ("validation", "test")}
    train = set(data.training_items()[0].tolist())
    assert train | held["validation"] | held["test"] == set(range(1, ends[-1] + 1))
    assert len(train) + len(held["validation"]) + len(held["test"]) == ends[-1]
    assert set(data.training(max_length=length).ravel().tolist()) <= train | {0}
    assert set(np.flatnonzero(popularity(data))) == train
    assert not set(data.held_out("validation", max_length=length)[0].ravel().tolist()) & (
        held["validation"] | held["test"]
    )
    assert not set(data.held_out("test", max_length=length)[0].ravel().tolist()) & held["test"]
    assert not set(data.history("validation")[0].tolist()) & (held["validation"] | held["test"])
    assert not set(data.history("test")[0].tolist()) & held["test"]


def test_popularity_counts_training_interactions_only():
    data = sequences([[1, 1, 2, 5, 3], [2, 1, 4, 4]])
    np.testing.assert_allclose(popularity(data), [0, 3 / 5, 2 / 5, 0, 0, 0])
    np.testing.assert_allclose(log_popularity(data), [0, np.log(0.6), np.log(0.4), 0, 0, 0], rtol=1e-6)


def test_full_sequence_gives_ten_inputs_and_targets():
    data = sequences([list(range(1, 14))])
    assert data.training().tolist() == [list(range(1, 12))]
    assert data.held_out("validation")[0].tolist() == [list(range(2, 12))]
    assert data.held_out("test")[0].tolist() == [list(range(3, 13))]


def test_an_unknown_split_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        sequences([[1, 2, 3]]).held_out("valid")

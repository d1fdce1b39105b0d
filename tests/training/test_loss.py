"""The loss against Eq. 7 and 8 written as loops, and unique items against encoding every position."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanrec.training.batches import epoch_batches, make_batch
from sanrec.training.loss import DebiasedLoss, debiased_loss

WIDTH = 4


def pad(sequences, length):
    return np.array([[0] * (length - len(s)) + list(s) for s in sequences], dtype=np.int32)


def slow_loss(states, vectors, sequences, log_p):
    """Over occurrences, as the equations stand: every position of every user offers its item as a candidate."""
    length = sequences.shape[1]
    occurrences = [int(i) for row in sequences for i in row if i > 0]
    terms = []
    for u, row in enumerate(sequences):
        own = {int(i) for i in row if i > 0}
        for s in range(length - 1):
            if row[s] == 0:
                continue

            def power(item, u=u, s=s):
                return math.exp(float(states[u, s] @ vectors[item]) - log_p[item])

            target = int(row[s + 1])
            others = sum(power(j) for j in occurrences if j not in own)
            terms.append(-math.log(power(target) / (power(target) + others)))
    return sum(terms) / len(terms)


def problem(seed, users, items, length, repeats):
    rng = np.random.default_rng(seed)
    sequences = [
        rng.choice(np.arange(1, items + 1), rng.integers(2, length + 1), replace=repeats) for _ in range(users)
    ]
    table = pad(sequences, length)
    states = torch.from_numpy(rng.normal(size=(users, length - 1, WIDTH))).float()
    vectors = torch.from_numpy(rng.normal(size=(items + 1, WIDTH))).float()
    log_p = torch.from_numpy(np.log(rng.uniform(0.01, 1, items + 1))).float()
    return table, states, vectors, log_p


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(5, 12), st.booleans())
def test_loss_is_equations_7_and_8(seed, users, items, repeats):
    table, states, vectors, log_p = problem(seed, users, items, 5, repeats)
    batch = make_batch(table)
    got = debiased_loss(states, vectors[batch.items], batch, log_p[batch.items])
    assert got.item() == pytest.approx(slow_loss(states, vectors, table, log_p), rel=1e-4, abs=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_unique_items_give_the_loss_of_encoding_every_position(seed, users):
    """The same softmax with one column per position, duplicates and all, as the published code computes it."""
    table, states, vectors, log_p = problem(seed, users, 8, 6, repeats=False)
    flat = torch.from_numpy(table.reshape(-1)).long()
    logits = states.reshape(-1, WIDTH) @ vectors[flat].T - log_p[flat]
    rows, length = table.shape
    labels, keep = [], []
    for u in range(rows):
        for s in range(length - 1):
            row = u * (length - 1) + s
            target = u * length + s + 1
            for column in range(len(flat)):
                masked = flat[column] == 0 or (flat[column] in table[u] and column != target)
                if masked:
                    logits[row, column] = -1e4
            labels.append(target)
            keep.append(table[u, s] > 0)
    keep = torch.tensor(np.array(keep))
    expected = torch.nn.functional.cross_entropy(logits[keep], torch.tensor(labels)[keep])
    batch = make_batch(table)
    got = debiased_loss(states, vectors[batch.items], batch, log_p[batch.items])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_a_batch_of_one_user_has_no_negatives_and_no_nan():
    table, states, vectors, log_p = problem(1, 1, 6, 5, repeats=False)
    batch = make_batch(table)
    states.requires_grad_(True)
    loss = debiased_loss(states, vectors[batch.items], batch, log_p[batch.items])
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(states.grad).all()


def test_batches_hold_every_user_once_and_depend_on_seed_and_epoch_alone():
    table = pad([[i, i + 1, i + 2] for i in range(1, 24)], 4)

    def seen(seed, epoch):
        return [b.items[b.places[b.present]].tolist() for b in epoch_batches(table, 5, seed, epoch)]

    assert sorted(i for batch in seen(0, 1) for i in batch) == sorted(table[table > 0].tolist())
    assert seen(0, 1) == seen(0, 1)
    assert seen(0, 1) != seen(0, 2) != seen(1, 2)


def test_a_batch_knows_counts_and_places():
    batch = make_batch(pad([[5, 3], [3, 9, 3]], 4))
    assert batch.items.tolist() == [3, 5, 9]
    assert batch.counts.tolist() == [3, 1, 1]
    assert batch.items[batch.places[batch.present]].tolist() == [5, 3, 3, 9, 3]


def test_the_loss_is_in_full_precision_inside_autocast():
    table, states, vectors, log_p = problem(3, 4, 12, 6, repeats=False)
    batch = make_batch(table)
    plain = debiased_loss(states, vectors[batch.items], batch, log_p[batch.items])
    with torch.autocast("cpu", torch.bfloat16):
        inside = debiased_loss(states, vectors[batch.items], batch, log_p[batch.items])
    assert inside.dtype == torch.float32
    assert torch.equal(plain, inside)


def test_the_gradient_is_autograds_own():
    rng = np.random.default_rng(3)
    states, vectors = (torch.from_numpy(rng.normal(size=(n, WIDTH))).requires_grad_() for n in (6, 5))
    own = torch.from_numpy(rng.random((6, 5)) < 0.3)
    targets = torch.from_numpy(rng.integers(0, 5, 6))
    log_p, log_counts = (torch.from_numpy(rng.normal(size=5)) for _ in range(2))

    def plain(states, vectors):
        scores = states @ vectors.T - log_p
        logits = (scores + log_counts).masked_fill(own, -torch.inf)
        logits = logits.scatter(1, targets[:, None], scores.gather(1, targets[:, None]))
        return torch.nn.functional.cross_entropy(logits, targets)

    found = DebiasedLoss.apply(states, vectors, own, targets, log_p, log_counts)
    expected = plain(states, vectors)
    torch.testing.assert_close(found, expected)
    for one, other in zip(*(torch.autograd.grad(3 * x, (states, vectors)) for x in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


def test_a_second_backward_pass_over_the_same_scores_is_refused():
    """They were turned into the gradient."""
    table, states, vectors, log_p = problem(0, 3, 8, 5, False)
    batch = make_batch(table)
    loss = debiased_loss(states.requires_grad_(), vectors[batch.items], batch, log_p[batch.items])
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()

"""DeepFM and NFM: their scores, and the statistics that NFM's are normalised by, against an obvious version."""

import pytest
import torch

from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import bpr_loss

USERS = torch.tensor([0, 3, 4, 9])
POSITIVES = torch.tensor([1, 7, 1, 8])
NEGATIVES = torch.tensor([9, 2, 0, 3])


def fields_of(model, features, user, item):
    """The vectors of a pair's fields, and the first-order part of its score."""
    units = [f[item] / f[item].norm() for f in features]
    vectors = [model.users[user], model.items[item]]
    vectors += [projection.weight @ unit for projection, unit in zip(model.projections, units, strict=True)]
    first = model.item_bias[item] + sum(b.weight[0] @ unit for b, unit in zip(model.feature_biases, units, strict=True))
    return vectors, first


def slow_pooling(vectors):
    return sum(vectors[j] * vectors[k] for j in range(len(vectors)) for k in range(j))


@pytest.mark.parametrize("at_once", [1, 1 << 22])
def test_deepfm_scores(build, shaken, features, monkeypatch, at_once):
    monkeypatch.setattr("sanrec.models.pairs.factorization.NUMBERS_AT_ONCE", at_once)
    model = shaken(build("deepfm", hidden_layers=2)).eval()
    scores = model.score(torch.tensor([5, 2]))
    assert scores.shape == (2, 10)
    for item in (0, 6):
        vectors, first = fields_of(model, features, 2, item)
        weights = torch.cat([model.of_user.weight, model.of_item.weight], 1)
        hidden = torch.relu(weights @ torch.cat(vectors) + model.of_item.bias)
        _, middle, _, _, last = model.deep
        deep = last.weight[0] @ torch.relu(middle(hidden))
        torch.testing.assert_close(scores[1, item], first + slow_pooling(vectors).sum() + deep, rtol=1e-4, atol=1e-4)


def pairs_of_batches(graph, kind):
    """All (user, item) pairs that a batch may hold, as often as it would on average."""
    users, items = graph.user_N.tolist(), graph.item_N.tolist()
    if kind == "softmax":
        return [(u, i) for u in users for i in items]
    apart = [(u, i) for u in users for i in range(graph.items)]
    return apart + [pair for pair in zip(users, items, strict=True) for _ in range(graph.items)]


@pytest.mark.parametrize("kind", ["softmax", "bpr"])
@pytest.mark.parametrize("chunk", [3, 16384])
def test_nfm_scores(build, shaken, features, graph, kind, chunk, monkeypatch):
    monkeypatch.setattr("sanrec.models.pairs.nfm.CHUNK", chunk)
    model = shaken(build("nfm", pair_loss=kind)).eval()
    pooled = torch.stack([slow_pooling(fields_of(model, features, u, i)[0]) for u, i in pairs_of_batches(graph, kind)])
    mean, variance = pooled.mean(0), pooled.var(0, unbiased=False)
    scores = model.score(torch.tensor([4]))
    for item in (3, 8):
        vectors, first = fields_of(model, features, 4, item)
        normal = (slow_pooling(vectors) - mean) / variance.sqrt() * model.scale + model.shift
        _, hidden, _, _, last = model.deep
        expected = first + last.weight[0] @ torch.relu(hidden(normal))
        torch.testing.assert_close(scores[0, item], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["softmax", "bpr"])
def test_nfm_scores_do_not_hang_on_the_order_of_the_interactions(build, shaken, graph, kind):
    order = torch.randperm(len(graph.user_N), generator=torch.Generator().manual_seed(3))
    shuffled = Interactions(graph.users, graph.items, graph.user_N[order], graph.item_N[order])
    model = shaken(build("nfm", pair_loss=kind)).eval()
    other = build("nfm", pair_loss=kind, graph=shuffled).eval()
    other.load_state_dict(model.state_dict())
    everyone = torch.arange(graph.users)
    torch.testing.assert_close(model.score(everyone), other.score(everyone), rtol=1e-4, atol=1e-5)


def test_nfm_trains_on_the_statistics_of_the_batch(build, shaken):
    model = shaken(build("nfm", pair_loss="bpr", dropout=0.0)).train()
    fields, first = model.item_fields(torch.cat([POSITIVES, NEGATIVES]))
    pooled = model.second_order(model.users[USERS.repeat(2)], fields)
    normal = (pooled - pooled.mean(0)) / pooled.var(0, unbiased=False).sqrt() * model.scale + model.shift
    scores = model.deep(normal)[:, 0] + first
    torch.testing.assert_close(
        model.loss(USERS, POSITIVES, NEGATIVES), bpr_loss(scores[:4], scores[4:]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["softmax", "bpr"])
def test_nfm_on_a_batch_of_one_interaction(build, shaken, kind):
    model = shaken(build("nfm", pair_loss=kind, dropout=0.0)).train()
    loss = model.loss(USERS[:1], POSITIVES[:1], NEGATIVES[:1])
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if kind == "softmax":  # the only item of the batch is the right one
        assert loss == 0

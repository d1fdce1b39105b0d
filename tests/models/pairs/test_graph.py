"""Adjacency and graphs of similar items against dense ones."""

import torch

from sanrec.models.pairs import graph as module
from sanrec.models.pairs.graph import Interactions, nearest, similar_items


def dense_adjacency(graph):
    full = torch.zeros(graph.users + graph.items, graph.users + graph.items)
    for u, i in zip(graph.user_N.tolist(), graph.item_N.tolist(), strict=True):
        full[u, graph.users + i] = full[graph.users + i, u] = 1
    return full


def test_symmetric_and_averaging(graph):
    full = dense_adjacency(graph)
    degrees = full.sum(1)
    torch.testing.assert_close(graph.symmetric().dense(), full / (degrees[:, None] * degrees).sqrt())
    torch.testing.assert_close(graph.averaging().dense(), full / degrees[:, None])
    torch.testing.assert_close(graph.of_users().dense(), graph.symmetric().dense()[: graph.users, graph.users :])


def test_a_repeated_interaction_is_one_edge_and_who_has_none_gets_nothing():
    graph = Interactions(3, 3, torch.tensor([0, 0, 0, 2]), torch.tensor([1, 1, 0, 1]))
    assert graph.plain().dense().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    symmetric = graph.symmetric().dense()
    assert symmetric[1].sum() == 0
    assert symmetric[5].sum() == 0
    torch.testing.assert_close(symmetric[0, 3 + 1], torch.tensor(0.5))
    torch.testing.assert_close(graph.log_popularity.exp(), torch.tensor([0.25, 0.75, 0.25]))


def test_degrees_of_a_pruned_graph_are_of_its_own_edges(graph):
    kept = torch.arange(0, len(graph.edges[0]), 3)
    pruned = Interactions(graph.users, graph.items, graph.edges[0][kept], graph.edges[1][kept])
    torch.testing.assert_close(graph.symmetric(kept).dense(), pruned.symmetric().dense())


def test_nearest_in_blocks_is_brute_force(monkeypatch):
    features = torch.randn(37, 8)
    unit = features / features.norm(dim=1, keepdim=True)
    cosines = unit @ unit.T
    expected = cosines.topk(5, dim=1)
    for at_once in (1, 3 * 37, 1 << 24):
        monkeypatch.setattr(module, "SIMILARITIES_AT_ONCE", at_once)
        items, values = nearest(features, 5)
        assert torch.equal(items, expected.indices)
        torch.testing.assert_close(values, expected.values)
    assert torch.equal(items[:, 0], torch.arange(37))  # itself
    assert nearest(features[:3], 5)[0].shape == (3, 3)


def slow_similar(features, k, binary):
    items = len(features)
    cosine = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    s = torch.zeros(items, items)
    for a in range(items):
        for b in sorted(range(items), key=lambda b: -cosine[a, b])[:k]:
            s[a, b] = (1.0 if binary else cosine[a, b]) if cosine[a, b] > 0 else 0
    d = torch.diag(s.sum(1) ** -0.5)
    return d @ s @ d


def test_similar_items_of_two_channels(features):
    for binary in (True, False):
        got = similar_items(features, 3, [0.9, 0.1], binary).dense()
        expected = 0.9 * slow_similar(features[0], 3, binary) + 0.1 * slow_similar(features[1], 3, binary)
        torch.testing.assert_close(got, expected)


def test_items_without_features_have_no_neighbours(features):
    channel = features[0].clone()
    channel[4] = 0
    similar = similar_items([channel], 3, [1.0], binary=True).dense()
    assert similar[4].abs().sum() == 0
    assert similar[:, 4].abs().sum() == 0
    assert torch.isfinite(similar).all()

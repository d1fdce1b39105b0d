"""Each model's arithmetic against its paper's formulas, written out slowly with dense matrices."""

import math

import pytest
import torch
from torch.nn import functional

from sanrec.models.pairs.freedom import channel_weights, sampled_edges
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import bpr_loss, half_squares, in_batch_softmax, info_nce

USERS = torch.tensor([0, 3, 4, 9])
POSITIVES = torch.tensor([1, 7, 1, 8])
NEGATIVES = torch.tensor([9, 2, 0, 3])


def neighbours(graph):
    of_users = {u: sorted(graph.item_N[graph.user_N == u].tolist()) for u in range(graph.users)}
    of_items = {i: sorted(graph.user_N[graph.item_N == i].tolist()) for i in range(graph.items)}
    return of_users, of_items


def slow_lightgcn(graph, users, items, layers):
    of_users, of_items = neighbours(graph)
    total_u, total_i = users.clone(), items.clone()
    for _ in range(layers):
        new_u = torch.stack(
            [sum(items[i] / math.sqrt(len(of_users[u]) * len(of_items[i])) for i in of_users[u]) for u in of_users]
        )
        new_i = torch.stack(
            [sum(users[u] / math.sqrt(len(of_users[u]) * len(of_items[i])) for u in of_items[i]) for i in of_items]
        )
        users, items = new_u, new_i
        total_u, total_i = total_u + users, total_i + items
    return total_u / (layers + 1), total_i / (layers + 1)


def slow_bpr(users, items):
    scores = (users @ items.T).detach()
    return -sum(
        math.log(1 / (1 + math.exp(scores[u, j] - scores[u, i]))) for u, i, j in zip(*TRIPLES, strict=True)
    ) / len(USERS)


TRIPLES = (USERS.tolist(), POSITIVES.tolist(), NEGATIVES.tolist())


def slow_squares(*vectors):
    return sum(float(v @ v) for vector in vectors for v in vector.detach()) / 2 / len(USERS)


def test_losses_by_hand():
    positive, negative = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    torch.testing.assert_close(bpr_loss(positive, negative).item(), expected)
    torch.testing.assert_close(half_squares(torch.tensor([[3.0, 4.0], [0.0, 1.0]])).item(), 26 / 4)
    scores = torch.tensor([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
    popularity = torch.tensor([0.5, 0.3, 0.2]).log()
    # the first and third positive are one item: in their rows the other one's column is left out
    logits = scores - popularity[torch.tensor([0, 1, 0])]
    rows = [(logits[0, [0, 1]], 0), (logits[1], 1), (logits[2, [1, 2]], 1)]
    expected = -sum(float(row.log_softmax(0)[place]) for row, place in rows) / 3
    torch.testing.assert_close(in_batch_softmax(scores, torch.tensor([0, 1, 0]), popularity).item(), expected)
    view, other = torch.randn(3, 4), torch.randn(3, 4)
    cosines = torch.tensor([[float(v @ o / v.norm() / o.norm()) for o in other] for v in view])
    expected = -float((cosines / 0.2).log_softmax(1).diagonal().mean())
    torch.testing.assert_close(info_nce(view, other, 0.2).item(), expected)


def test_mf_loss(build, shaken):
    model = shaken(build("mf", regularization=0.3))
    expected = slow_bpr(model.users, model.items) + 0.3 * slow_squares(
        model.users[USERS], model.items[POSITIVES], model.items[NEGATIVES]
    )
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES).item(), expected)


@pytest.mark.parametrize("layers", [1, 3])
def test_lightgcn(build, shaken, graph, layers):
    model = shaken(build("lightgcn", graph_layers=layers, regularization=0.3))
    users, items = slow_lightgcn(graph, model.users, model.items, layers)
    torch.testing.assert_close(model.vectors(), (users, items))
    ego = model.users[USERS], model.items[POSITIVES], model.items[NEGATIVES]
    expected = slow_bpr(users, items) + 0.3 * slow_squares(*ego)
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES).item(), expected)


def test_lightgcn_by_the_softmax_of_the_batch(build, shaken, graph):
    model = shaken(build("lightgcn", pair_loss="softmax", regularization=0.0))
    users, items = model.vectors()
    scores = users[USERS] @ items[POSITIVES].T
    expected = in_batch_softmax(scores, POSITIVES, graph.log_popularity)
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES), expected)


def test_dssm_towers(build, shaken, features):
    model = shaken(build("dssm", hidden_layers=2))
    first, _, second, _ = model.user_tower
    user = torch.tanh(second(torch.tanh(first(model.users[3]))))
    seen = model.items[7] + sum(
        projection.weight @ (f[7] / f[7].norm()) for projection, f in zip(model.projections, features, strict=True)
    )
    first, _, second, _ = model.item_tower
    item = torch.tanh(second(torch.tanh(first(seen))))
    torch.testing.assert_close(model.score(torch.tensor([3]))[0, 7], user @ item)


def test_mmgcn_layers(build, shaken, graph, features):
    model = shaken(build("mmgcn"), scale=0.3)
    of_users, of_items = neighbours(graph)
    around = {u: [12 + i for i in of_users[u]] for u in of_users} | {12 + i: of_items[i] for i in of_items}
    leaky = functional.leaky_relu
    total = 0
    for channel, f in zip(model.channels, features, strict=True):
        x = torch.cat([channel.preference, f @ channel.projection.weight.T + channel.projection.bias])
        x = x / x.norm(dim=1, keepdim=True)
        for layer in channel.layers:
            new = []
            for node in range(22):
                mean = sum(layer.neighbours.weight @ x[n] for n in around[node]) / len(around[node])
                own = leaky(layer.own.weight @ x[node] + layer.own.bias) + model.ids[node]
                new.append(leaky(layer.joint.weight @ torch.cat([leaky(mean), own]) + layer.joint.bias))
            x = torch.stack(new)
        total = total + x
    users, items = model.vectors()
    torch.testing.assert_close(torch.cat([users, items]), total, rtol=1e-4, atol=1e-4)


def test_grcn_refined_edges_and_vectors(build, shaken, graph, features):
    model = shaken(build("grcn", routing=2))
    of_users, of_items = neighbours(graph)
    affinity = torch.zeros(2, 22, 22)  # of channel m, from a node (last) to a node (first)
    contents = []
    for m, (channel, f) in enumerate(zip(model.channels, features, strict=True)):
        items = functional.leaky_relu(f @ channel.projection.weight.T + channel.projection.bias)
        items = items / items.norm(dim=1, keepdim=True)
        users = channel.preference / channel.preference.norm(dim=1, keepdim=True)
        for _ in range(2):
            new = []
            for u, own in of_users.items():
                shares = torch.softmax(torch.stack([users[u] @ items[i] for i in own]), 0)
                moved = users[u] + sum(share * items[i] for share, i in zip(shares, own, strict=True))
                new.append(moved / moved.norm())
            users = torch.stack(new)
        for u, own in of_users.items():
            affinity[m, u, [12 + i for i in own]] = torch.softmax(torch.stack([users[u] @ items[i] for i in own]), 0)
        for i, own in of_items.items():
            affinity[m, 12 + i, own] = torch.softmax(torch.stack([users[u] @ items[i] for u in own]), 0)
        nodes = torch.cat([users, items])
        contents.append(nodes + affinity[m] @ nodes)
    weights = torch.relu((affinity * model.confidence.T[:, None, :]).amax(0))
    got, _ = model.refined(*model.graphs())
    dense = torch.zeros(22, 22).index_put((model.both_ways.rows, model.both_ways.cols), got)
    torch.testing.assert_close(dense, weights)
    assert (weights == 0).sum() > (affinity[0] == 0).sum(), "nothing was pruned: the test would not see it"
    ids = model.ids + weights @ model.ids + weights @ weights @ model.ids
    torch.testing.assert_close(torch.cat(model.vectors()), torch.cat([ids, *contents], 1))


def test_grcn_leaves_out_edges_in_training_alone(build, shaken, graph):
    model, whole = shaken(build("grcn", edge_dropout=0.5)), shaken(build("grcn"))
    torch.manual_seed(0)
    drawn = model.graphs(), model.graphs()
    assert not torch.equal(drawn[0][0].dense(), drawn[1][0].dense())
    for edges, both_ways in drawn:
        kept = edges.dense()[graph.user_N, graph.item_N] > 0
        assert 0 < len(edges.rows) == kept.sum() < len(kept)
        some = Interactions(graph.users, graph.items, graph.user_N[kept], graph.item_N[kept])
        other = shaken(build("grcn", graph=some))
        # over the edges kept, the model is that of a graph which never had the others
        torch.testing.assert_close(model.refined(edges, both_ways), other.refined(*other.graphs()))
    assert model.eval().graphs() == (model.edges, model.both_ways)
    torch.testing.assert_close(model.vectors(), whole.vectors())


def test_bm3_loss_and_vectors(build, shaken, graph, features):
    model = shaken(build("bm3", dropout=0.0, regularization=0.1, contrastive_weight=2.0, graph_layers=2))
    users, items = slow_lightgcn(graph, model.users, model.items, 2)
    items = items + model.items
    predict = model.predictor
    expected = 0.0
    for u, i in zip(USERS, POSITIVES, strict=True):
        expected += 2 - cosine(predict(users[u]), items[i]) - cosine(predict(items[i]), users[u])
        for projection, f in zip(model.projections, features, strict=True):
            channel = projection(f[i])
            expected += 2.0 * (2 - cosine(predict(channel), items[i]) - cosine(predict(channel), channel))
    expected = expected / 4 + 0.1 * slow_squares(users[USERS], items[POSITIVES])
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES).item(), expected)
    torch.testing.assert_close(model.vectors(), (predict(users), predict(items)))


def cosine(x, y):
    return (x @ y / x.norm() / y.norm()).item()


def test_bm3_targets_have_dropout_and_no_gradient(build):
    model = build("bm3", dropout=0.5)
    x = torch.ones(100, 4, requires_grad=True)
    target = model._target(x)
    assert not target.requires_grad
    assert set(target.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(model.eval()._target(x), x)


def test_freedom_vectors_and_loss(build, shaken, graph, features):
    model = shaken(build("freedom", item_graph_layers=2, contrastive_weight=0.3)).eval()
    users, items = slow_lightgcn(graph, model.users, model.items, 2)
    similar = model.similar.dense()
    expected = users, items + similar @ similar @ model.items
    torch.testing.assert_close(model.vectors(), expected)
    loss = slow_bpr(*expected)
    for projection, f in zip(model.projections, features, strict=True):
        loss += 0.3 * slow_bpr(users, f @ projection.weight.T)
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES).item(), loss)


def test_freedom_channel_weights():
    assert channel_weights(1, 0.9) == [1.0]
    assert channel_weights(3, 0.5) == [0.5, 0.25, 0.25]


def test_freedom_prunes_by_degree(graph):
    torch.manual_seed(0)
    graph = type(graph)(2, 8, torch.tensor([0] * 7 + [1]), torch.arange(8))  # user 0 has seven items, user 1 one
    weights = graph.symmetric_weights()
    drawn = torch.zeros(8)
    for _ in range(4000):
        kept = sampled_edges(graph, dropped=0.8)
        assert len(kept) == 1
        drawn[kept] += 1
    torch.testing.assert_close(drawn / 4000, weights / weights.sum(), atol=0.03, rtol=0)


def test_freedom_trains_on_the_sampled_graph_and_scores_on_the_whole(build, shaken, graph):
    model = shaken(build("freedom", edge_dropout=0.5))
    model.start_epoch()
    first = model.sampled.dense()
    assert (first > 0).sum() == 2 * (len(graph.edges[0]) // 2)
    model.start_epoch()
    assert not torch.equal(first, model.sampled.dense())
    trained = model.vectors()[0]
    torch.testing.assert_close(model.eval().vectors()[0], slow_lightgcn(graph, model.users, model.items, 2)[0])
    assert not torch.allclose(trained, model.vectors()[0])


def slow_mgcn(model, graph, features):
    """The behaviour view, each channel's, and the fused one."""
    sigmoid = torch.sigmoid
    users, items = slow_lightgcn(graph, model.users, model.items, 2)
    behaviour = torch.cat([users, items])
    weights = graph.of_users().dense()
    views = []
    for view, f in zip(model.views, features, strict=True):
        projected = f @ view.projection.weight.T + view.projection.bias
        purified = model.items * sigmoid(projected @ view.gate.weight.T + view.gate.bias)
        spread = view.similar.dense() @ purified
        views.append(torch.cat([weights @ spread, spread]))
    first, _, query = model.fuser.attention
    scores = torch.stack([torch.tanh(v @ first.weight.T + first.bias) @ query.weight[0] for v in views])
    shares = torch.softmax(scores, 0)
    shared = sum(share[:, None] * v for share, v in zip(shares, views, strict=True))
    fused = shared.clone()
    for prefer, v in zip(model.fuser.preferences, views, strict=True):
        fused += sigmoid(behaviour @ prefer.weight.T + prefer.bias) * (v - shared) / len(views)
    return behaviour, views, fused


def test_mgcn(build, shaken, graph, features):
    model = shaken(build("mgcn", contrastive_weight=0.3, regularization=0.2))
    behaviour, _, fused = slow_mgcn(model, graph, features)
    users, items = (behaviour + fused).split([12, 10])
    torch.testing.assert_close(model.vectors(), (users, items))
    expected = slow_bpr(users, items) + 0.2 * slow_squares(users[USERS], items[POSITIVES], items[NEGATIVES])
    for place in (USERS, 12 + POSITIVES):
        expected += 0.3 * info_nce(fused[place], behaviour[place], 0.2).item()
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES).item(), float(expected), rtol=1e-4, atol=1e-4)


def test_mhcr_hypergraph(build, shaken, graph, features):
    model = shaken(build("mhcr", hyperedges=3, hypergraph_layers=2, hypergraph_weight=0.7)).eval()
    behaviour, views, fused = slow_mgcn(model, graph, features)
    plain = graph.plain().dense()
    hyper = []
    for hypergraph, f in zip(model.hypergraphs, features, strict=True):
        of_items = torch.softmax(f @ hypergraph.edges / 0.2, 1)
        of_users = torch.softmax(plain @ (f @ hypergraph.edges) / 0.2, 1)
        once = of_items @ of_items.T @ behaviour[12:]
        hyper.append(torch.cat([of_users @ of_items.T @ once, of_items @ of_items.T @ once]))
    total = sum(hyper)
    expected = behaviour + fused + 0.7 * total / total.norm(dim=1, keepdim=True)
    torch.testing.assert_close(torch.cat(model.vectors()), expected, rtol=1e-4, atol=1e-4)
    users, items = expected.split([12, 10])
    loss = slow_bpr(users, items) + 1e-4 * slow_squares(users[USERS], items[POSITIVES], items[NEGATIVES])
    for place in (USERS, 12 + POSITIVES):
        loss += 0.01 * info_nce(fused[place], behaviour[place], 0.2).item()
        for one, other in [(hyper[0], hyper[1]), (hyper[0], views[0]), (hyper[1], views[1])]:
            loss += 1e-3 * info_nce(one[place], other[place], 0.2).item()
    torch.testing.assert_close(model.loss(USERS, POSITIVES, NEGATIVES).item(), float(loss), rtol=1e-4, atol=1e-4)


def test_mhcr_memberships_are_noisy_shares_in_training(build):
    model = build("mhcr")
    hypergraph = model.hypergraphs[0]
    one, other = hypergraph.membership(model.interactions), hypergraph.membership(model.interactions)
    torch.testing.assert_close(one[0].sum(1), torch.ones(12))
    assert not torch.equal(one[1], other[1])

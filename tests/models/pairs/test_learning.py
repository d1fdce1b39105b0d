"""What every recommender on pairs must do: learn, be the same under other numbers, use all of its weights."""

import pytest
import torch

from sanrec.methods import METHODS
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.registry import PAIR_MODELS

USERS, ITEMS = 12, 10


def train(model, graph, steps, rate=0.03, seed=1):
    """Full batches with sampled items that the user does not have; the losses."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    had = graph.plain().dense().bool()
    losses = []
    torch.manual_seed(seed)
    for _ in range(steps):
        model.train()
        model.start_epoch()
        others = (~had[graph.user_N]).float()
        negatives = torch.multinomial(others, 1, generator=generator)[:, 0]
        loss = model.loss(graph.user_N, graph.item_N, negatives)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def scores_of(model, graph):
    model.eval()
    model.prepare()
    return model.score(torch.arange(graph.users))


def test_the_registry_has_every_method_on_pairs():
    assert set(PAIR_MODELS) == {name for name, method in METHODS.items() if method.trains == "pairs"}


CASES = [(name, {}) for name in PAIR_MODELS] + [
    ("lightgcn", {"pair_loss": "softmax"}),
    ("dssm", {"pair_loss": "bpr", "hidden_layers": 1}),
    ("nfm", {"pair_loss": "bpr"}),
    ("deepfm", {"pair_loss": "bpr"}),
]


@pytest.mark.parametrize(("name", "changed"), CASES)
def test_overfits_a_tiny_world(build, graph, name, changed):
    light = {"regularization": 0.0, "edge_dropout": 0.2, "dropout": 0.1, "graph_layers": 1}
    model = build(name, **light, **changed)
    losses = train(model, graph, steps=120)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    scores, had = scores_of(model, graph), graph.plain().dense().bool()
    assert scores.shape == (USERS, ITEMS)
    assert not scores.requires_grad
    # BM3's loss draws a user and the own items together and sets nothing apart, sampled items have no part in it: the
    # fifth item of the user's taste is near all others who share the taste, and stands anywhere among the own four
    other_taste = (torch.arange(ITEMS)[None] // 5) != (torch.arange(USERS)[:, None] % 2)
    below = other_taste if name == "bm3" else ~had
    least = scores.masked_fill(~had, torch.inf).amin(1)
    assert (least > scores.masked_fill(~below, -torch.inf).amax(1)).all()


def descend(model, name, users_N, items_N, negatives_N):
    """Steps that draw nothing: what is drawn falls on places, and under other numbers they are others'."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(5):
        model.train(name != "mhcr")  # its noise cannot be switched off in training
        model.start_epoch()
        optimizer.zero_grad()
        model.loss(users_N, items_N, negatives_N).backward()
        optimizer.step()


@pytest.mark.parametrize(("name", "changed"), CASES)
def test_scores_are_the_same_under_other_numbers_and_in_another_order(build, shaken, graph, features, name, changed):
    quiet = {"dropout": 0.0, "edge_dropout": 0.0, **changed}
    model = shaken(build(name, **quiet), scale=0.3).eval()
    generator = torch.Generator().manual_seed(3)
    users, items, order = (torch.randperm(n, generator=generator) for n in (USERS, ITEMS, len(graph.user_N)))
    # user u is now users[u]: the row of the old u stands at place users[u]
    renamed = Interactions(USERS, ITEMS, users[graph.user_N[order]], items[graph.item_N[order]])
    moved = [torch.empty_like(f).index_copy(0, items, f) for f in features]
    other = build(name, graph=renamed, features=moved, **quiet).eval()
    places = {USERS: users, ITEMS: items, USERS + ITEMS: torch.cat([users, USERS + items])}
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for key, parameter in other.named_parameters():
            by_node = key.split(".")[-1] in ("users", "items", "ids", "preference", "confidence", "item_bias")
            old = weights[key]
            parameter.copy_(torch.empty_like(old).index_copy(0, places[len(old)], old) if by_node else old)
    before = scores_of(model, graph)
    torch.testing.assert_close(scores_of(other, renamed)[users][:, items], before, rtol=1e-4, atol=1e-4)
    negatives = (graph.item_N + 5) % ITEMS
    descend(model, name, graph.user_N, graph.item_N, negatives)
    descend(other, name, renamed.user_N, renamed.item_N, items[negatives[order]])
    after = scores_of(model, graph)
    assert (after - before).abs().max() > 1e-2, "hardly moved: the test would not see it"
    torch.testing.assert_close(scores_of(other, renamed)[users][:, items], after, rtol=1e-4, atol=1e-4)


LOSSES = [
    (name, {"pair_loss": loss} if loss else {})
    for name, method in METHODS.items()
    if method.trains == "pairs"
    for loss in (("bpr", "softmax") if "pair_loss" in method.settings else (None,))
]


@pytest.mark.parametrize(("name", "changed"), LOSSES)
def test_a_batch_of_one_interaction(build, graph, name, changed):
    model = build(name, **changed)
    start = {key: p.detach().clone() for key, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    model.start_epoch()
    loss = model.loss(torch.tensor([3]), torch.tensor([7]), torch.tensor([2]))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert torch.isfinite(scores_of(model, graph)).all()
    # one item alone is all of a batch's softmax: there is nothing to learn but by the regularisation
    moved = [key for key, p in model.named_parameters() if not torch.equal(p, start[key])]
    assert moved or changed.get("pair_loss") == "softmax"


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_gradients_reach_every_weight(build, graph, name):
    model = build(name, regularization=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):  # what starts at zero lets gradients through only after a step
        negatives = (graph.item_N + 5) % 10
        optimizer.zero_grad()
        model.loss(graph.user_N, graph.item_N, negatives).backward()
        optimizer.step()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_ids_alone(build, graph, name):
    method = METHODS[name]
    if method.fewest_channels:
        pytest.skip(f"{method.title} is made for features")
    model = build(name, features=[])
    losses = train(model, graph, steps=30)
    assert losses[-1] < losses[0]
    assert scores_of(model, graph).shape == (USERS, ITEMS)


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_one_seed_gives_one_result(build, graph, name):
    scores = []
    for seed in (0, 0, 1):
        model = build(name, seed=seed)
        train(model, graph, steps=3, seed=seed)
        scores.append(scores_of(model, graph))
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_scores_follow_training_and_the_weights_are_the_whole_state(build, graph, name):
    model = build(name)
    before = scores_of(model, graph)
    train(model, graph, steps=3)
    after = scores_of(model, graph)
    assert not torch.equal(before, after)
    torch.testing.assert_close(model.score(torch.tensor([7, 2])), after[[7, 2]])
    other = build(name, seed=9)
    other.load_state_dict(model.state_dict())
    assert set(model.state_dict()) == {key for key, _ in model.named_parameters()}
    torch.testing.assert_close(scores_of(other, graph), after)

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
    other_taste = (torch.arange(ITEMS)[None] // 5) != (torch.arange(USERS)[:, None] % 2)
    least = scores.masked_fill(~had, torch.inf).amin(1)
    assert (least > scores.masked_fill(~other_taste, -torch.inf).amax(1)).all()
    compares = name != "bm3" and changed.get("pair_loss", METHODS[name].defaults.get("pair_loss")) != "softmax"
    if compares and name not in ("mmgcn", "mhcr"):  # without sampled items nothing speaks against the fifth item
        assert (least > scores.masked_fill(had, -torch.inf).amax(1)).all()


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_scores_are_the_same_under_other_numbers(build, shaken, graph, features, name):
    model = shaken(build(name)).eval()
    expected = scores_of(model, graph)
    generator = torch.Generator().manual_seed(3)
    users, items = torch.randperm(USERS, generator=generator), torch.randperm(ITEMS, generator=generator)
    # user u is now users[u]: the row of the old u stands at place users[u]
    renamed = Interactions(USERS, ITEMS, users[graph.user_N], items[graph.item_N])
    moved = [torch.empty_like(f).index_copy(0, items, f) for f in features]
    other = build(name, graph=renamed, features=moved)
    places = {USERS: users, ITEMS: items, USERS + ITEMS: torch.cat([users, USERS + items])}
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for key, parameter in other.named_parameters():
            by_node = key.split(".")[-1] in ("users", "items", "ids", "preference", "confidence", "item_bias")
            old = weights[key]
            parameter.copy_(torch.empty_like(old).index_copy(0, places[len(old)], old) if by_node else old)
    got = scores_of(other, renamed)
    torch.testing.assert_close(got[users][:, items], expected, rtol=1e-4, atol=1e-4)


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

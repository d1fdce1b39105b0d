"""One training step of each model on graphs against its dense reference: the loss, and every weight after SGD."""

from types import SimpleNamespace

import pytest
import torch

from sanrec.models.pairs.graph import Interactions
from tests.models.pairs import dense

LAYERS = {"graph_layers": 2, "item_graph_layers": 2, "neighbours": 3, "regularization": 0.3, "contrastive_weight": 0.5}
HYPER = {"hyperedges": 3, "hypergraph_layers": 2, "hypergraph_weight": 0.7, "hypergraph_contrast": 0.4}
CASES = {
    "lightgcn": (dense.lightgcn, {"pair_loss": "bpr"}),
    "lightgcn, softmax": (dense.lightgcn, {"pair_loss": "softmax"}),
    "freedom": (dense.freedom, {"first_channel": 0.7, "edge_dropout": 0.0}),
    "freedom, sampled": (dense.freedom, {"first_channel": 0.7, "edge_dropout": 0.4}),
    "mgcn": (dense.mgcn, {"temperature": 0.3}),
    "bm3": (dense.bm3, {"dropout": 0.0}),
    "bm3, dropout": (dense.bm3, {"dropout": 0.5}),
    "mhcr, noise": (dense.mhcr, {"temperature": 0.3, "dropout": 0.0, **HYPER}),
    "mhcr, noise and dropout": (dense.mhcr, {"temperature": 0.3, "dropout": 0.3, **HYPER}),
    "mmgcn": (dense.mmgcn, {}),
    "grcn": (dense.grcn, {"routing": 2, "edge_dropout": 0.0}),
    "grcn, edges left out": (dense.grcn, {"routing": 2, "edge_dropout": 0.3}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_the_dense_reference(build, shaken, case):
    reference, changed = CASES[case]
    had, features = dense.world()
    graph = Interactions(dense.COUNT_U, dense.COUNT_I, *torch.tensor(dense.PAIRS).T)
    name = case.split(",")[0]
    model = build(name, graph=graph, features=features, **LAYERS, **changed)
    model = shaken(model, scale=0.3 if name == "mmgcn" else 0.5).train()
    model.start_epoch()
    if case == "freedom, sampled":  # which edges were drawn: the columns of the matrix that it propagates by
        drawn = (model.sampled(torch.eye(13)) > 0).float()[: dense.COUNT_U, dense.COUNT_U :]
        assert 0 < drawn.sum() < had.sum()
        had = drawn
    weights = {key: p.detach().clone().requires_grad_() for key, p in model.named_parameters()}
    torch.manual_seed(8)
    expected = reference(weights, had, features, SimpleNamespace(**LAYERS, **changed))
    gradients = torch.autograd.grad(expected, list(weights.values()))
    torch.manual_seed(8)
    loss = model.loss(dense.USERS, dense.POSITIVES, dense.NEGATIVES)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss.backward()
    optimizer.step()
    for (key, got), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert gradient.abs().max() > 1e-3, f"{key} hardly moves: the test would not see it"
        torch.testing.assert_close(got.grad, gradient, rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")
        after = weights[key].detach() - 0.1 * gradient
        torch.testing.assert_close(got.detach(), after, rtol=1e-5, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")

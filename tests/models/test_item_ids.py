"""Items known by their number: the table, features beside it, and a table beside what media say."""

import pytest
import torch
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.item_ids import EmbeddingWithFeatures, ItemEmbedding
from sanrec.models.registry import Recommender, Shape


def test_an_items_vector_is_its_row():
    torch.manual_seed(0)
    table = ItemEmbedding(5, 8)
    assert table.weight.shape == (6, 8)
    assert not table.weight[0].any()
    assert torch.equal(table(torch.tensor([3, 1])), table.weight[[3, 1]])


def test_the_table_starts_xavier_normal():
    torch.manual_seed(0)
    weight = ItemEmbedding(3000, 64).weight[1:]
    assert abs(weight.std().item() / (2 / (3001 + 64)) ** 0.5 - 1) < 0.02
    assert abs(weight.mean().item()) < 1e-3


def test_features_add_a_linear_map_of_theirs():
    torch.manual_seed(0)
    model = EmbeddingWithFeatures(5, (3, 2), 8)
    items, features = torch.tensor([2, 5]), [torch.randn(2, 3), torch.randn(2, 2)]
    ids, first, second = model.fusion.weight.split([8, 3, 2], 1)
    expected = model.embedding.weight[items] @ ids.T + features[0] @ first.T + features[1] @ second.T
    torch.testing.assert_close(model((items, features)), expected + model.fusion.bias)


def test_one_group_trains_all_of_it():
    model = Recommender("sasrec", Shape(("video",), (3,), 1, items=5), Settings(recommender_width=8))
    (group,) = model.parameter_groups(Settings(learning_rate=0.25))
    assert len(group["params"]) == len(list(model.parameters()))
    assert group["lr"] == 0.25


def with_and_without(cosine_temperature, dropout=0.0):
    """CROSSAN over 6 items' hidden states of two channels, with vectors of their own beside and without; its inputs."""
    settings = Settings(recommender_width=8, adapter_width=4, dropout=dropout, cosine_temperature=cosine_temperature)
    models = []
    for beside in (True, False):
        torch.manual_seed(0)
        shape = Shape(("text", "image"), (5, 5), 3, items=6 if beside else 0, beside=beside)
        models.append(Recommender("crossan", shape, settings))
    return *models, (torch.tensor([4, 1, 6]), torch.randn(3, 2, 3, 5, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("cosine_temperature", [0.0, 0.07])
def test_vectors_beside_start_at_nothing(cosine_temperature):
    beside, alone, inputs = with_and_without(cosine_temperature)
    assert {*beside.state_dict()} - {*alone.state_dict()} == {"item_ids.weight"}
    torch.testing.assert_close(beside.encode_items(inputs), alone.encode_items(inputs[1]))
    beside.encode_items(inputs).sum().backward()
    touched = beside.item_ids.weight.grad.any(1)
    assert touched.nonzero()[:, 0].tolist() == [1, 4, 6]  # an item that is not asked for keeps its zero


@pytest.mark.parametrize("cosine_temperature", [0.0, 0.25])
def test_vectors_beside_are_added_to_the_medias(cosine_temperature):
    beside, alone, inputs = with_and_without(cosine_temperature)
    with torch.no_grad():
        beside.item_ids.weight.normal_()
        media = alone.item_encoder(inputs[1])
        own = beside.item_ids.weight[inputs[0]]
        expected = media + own
        if cosine_temperature:
            expected = functional.normalize(functional.normalize(media) + own) * 2  # one over the root of 0.25
        torch.testing.assert_close(beside.encode_items(inputs), expected)


def test_vectors_beside_are_dropped_like_all_else():
    beside, _, inputs = with_and_without(0.0, dropout=0.5)
    with torch.no_grad():
        beside.item_ids.weight.fill_(1.0)
    found = beside.item_ids(inputs[0], torch.zeros(3, 8))
    assert set(found.unique().tolist()) == {0.0, 2.0}
    beside.eval()
    assert torch.equal(beside.item_ids(inputs[0], torch.zeros(3, 8)), torch.ones(3, 8))

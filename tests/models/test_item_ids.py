"""Items known by their number: the table, and features beside it."""

import torch

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

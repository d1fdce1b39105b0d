"""The papers' parameter counts, to the digit (CROSSAN, Table 4), on the meta device: no weights are allocated."""

import pytest
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from sanrec.config import Settings
from sanrec.models.registry import Recommender, Shape, on_meta, trainable_parameters
from sanrec.models.users import UserEncoder

TIVA = ("text", "image", "video", "audio")
UNUSED_IN_THE_PAPERS_CROSSAN = 128 * 64 + 64  # one Linear(128, 64) that Eq. 6 has no use for


def count(model, modalities, backbones=(), **settings):
    shape = Shape(modalities, (768,) * len(modalities), 7, ("first",) * len(backbones), backbones)
    return trainable_parameters(on_meta(lambda: Recommender(model, shape, Settings(**settings))))


def bert_and_vit():
    classes = ((BertModel, BertConfig), (ViTModel, ViTConfig))
    return on_meta(lambda: [model(config(), add_pooling_layer=False) for model, config in classes])


def test_user_encoder():
    assert trainable_parameters(UserEncoder()) == 100_224


@pytest.mark.parametrize(("width", "expected"), [(512, 30_889_784), (1024, 58_432_824)])
def test_iisan_e(width, expected):
    assert count("iisan-e", TIVA, adapter_width=width) == expected


def test_crossan_is_the_papers_without_its_unused_layer():
    assert count("crossan", TIVA, fusion="momef") == 24_733_200 == 24_741_456 - UNUSED_IN_THE_PAPERS_CROSSAN


@pytest.mark.parametrize(("model", "expected"), [("full", 194_897_216), ("adapter", 38_017_088), ("lora", 37_992_512)])
def test_embedded_methods_on_text_and_image(model, expected):
    assert count(model, ("text", "image"), bert_and_vit()) == expected

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


def linear(inputs, outputs):
    return inputs * outputs + outputs


def block(width, inner):
    return linear(width, inner) + linear(inner, width)


def test_iisan_vs_at_several_widths_by_formula():
    """Three towers of 7 blocks, Linear(768, 768) and Linear(768, 64) each, Linear(192, 64), 21 gates, user encoder."""
    for inner in (8, 64, 512, 2048):
        towers = 3 * (7 * block(768, inner) + linear(768, 768) + linear(768, 64))
        assert count("iisan", TIVA[:2], adapter_width=inner) == towers + linear(192, 64) + 21 + 100_224


def unequal(model, widths, layers, **settings):
    shape = Shape(TIVA[: len(widths)], widths, layers)
    return trainable_parameters(on_meta(lambda: Recommender(model, shape, Settings(**settings))))


@pytest.mark.parametrize(("text", "blocks"), [(1024, 24), (3072, 28), (4096, 32), (8192, 80)])
def test_iisan_va_with_the_papers_text_encoders_by_formula(text, blocks):
    """Text at its own width; image and inter tower at 768; a linear map per layer; Linear(D, 64), Linear(64, 64)."""
    rest = linear(192, 64) + 100_224
    heads = linear(text, 64) + 2 * linear(768, 64) + 3 * linear(64, 64)
    blocks_64 = 7 * (block(text, 64) + 2 * block(768, 64))
    expected = blocks_64 + 7 * linear(text, 768) + heads + 21 + rest
    assert unequal("iisan", (text, 768), (7, 7), adapter_width=64) == expected
    # all blocks of both: the inter tower has the image's 13 layers
    everything = (blocks + 1) * block(text, 64) + 26 * block(768, 64) + 13 * linear(text, 768)
    gates = blocks + 1 + 13 + 13
    assert unequal("iisan", (text, 768), (blocks + 1, 13), adapter_width=64) == everything + heads + gates + rest


def test_iisan_va_bert_large_and_vit_base_worked_out():
    """7 (131,072 + 64 + 1,024) + 14 (98,304 + 64 + 768) + 7 x 787,200 + 65,600 + 98,432 + 12,480 + ..."""
    blocks = 7 * 132_160 + 14 * 99_136
    assert unequal("iisan", (1024, 768), (7, 7), adapter_width=64) == (
        blocks + 5_510_400 + 65_600 + 98_432 + 12_480 + 12_352 + 21 + 100_224
    )


def test_crossan_over_a_language_model_and_a_small_audio_encoder_by_formula():
    widths, layers = (4096, 384), (7, 5)
    towers = 7 * block(4096, 64) + 5 * block(384, 64) + linear(4096, 64) + linear(384, 64) + 2 * linear(64, 64)
    fusion = linear(128, 2) + 2 * linear(64, 64)
    expected = towers + 2 * 4096 * 384 + fusion + (7 + 5) * 3 + 100_224
    assert unequal("crossan", widths, layers, adapter_width=64, fusion="momef") == expected
    without = 2 * 4096 * 384 + (7 + 5)  # INDSAN has no maps, and two gates a layer
    assert unequal("indsan", widths, layers, adapter_width=64, fusion="momef") == expected - without


def test_bitfit_trains_every_bias_of_bert_base_and_vit_base():
    """Query, key, value, output and two LayerNorms of 768, the feed-forward part's 3,072 and 768, in 12 blocks each.

    Beside them BERT's embeddings have a LayerNorm, ViT a patch projection and a last LayerNorm.
    """
    per_block = 4 * 768 + 2 * 768 + 3072 + 768
    biases = (12 * per_block + 768) + (12 * per_block + 2 * 768)
    assert biases == 102_144 + 102_912
    read_out = 2 * linear(768, 64) + linear(128, 64)
    assert count("bitfit", TIVA[:2], bert_and_vit()) == biases + read_out + 100_224

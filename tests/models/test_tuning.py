"""Adapters and LoRA inside real architectures: they start as the pretrained model, and train what they should."""

import copy

import pytest
import torch
from transformers import (
    ASTConfig,
    ASTModel,
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaModel,
    VideoMAEConfig,
    VideoMAEModel,
    ViTConfig,
    ViTModel,
)

from sanrec.backbones.pooling import pool_final
from sanrec.errors import ConfigError
from sanrec.models.tuning import FinalReadOut, TunedBackbones, add_houlsby, add_lora, final_states, train_biases

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def backbone(name):
    torch.manual_seed(0)
    if name == "bert":
        model = BertModel(BertConfig(vocab_size=30, **SMALL), add_pooling_layer=False)
        return model, {"input_ids": torch.tensor([[1, 5, 7, 2], [1, 9, 2, 0]])}
    if name == "vit":
        model = ViTModel(ViTConfig(image_size=32, **SMALL), add_pooling_layer=False)
        return model, {"pixel_values": torch.randn(2, 3, 32, 32)}
    if name == "videomae":
        config = VideoMAEConfig(image_size=32, num_frames=4, **SMALL)
        return VideoMAEModel(config), {"pixel_values": torch.randn(2, 4, 3, 32, 32)}
    config = ASTConfig(num_mel_bins=16, max_length=32, patch_size=8, frequency_stride=8, time_stride=8, **SMALL)
    return ASTModel(config), {"input_values": torch.randn(2, 32, 16)}


@pytest.mark.parametrize("name", ["bert", "vit", "videomae", "ast"])
class TestEachArchitecture:
    def test_lora_starts_as_the_pretrained_model_and_keeps_its_projections(self, name):
        model, kwargs = backbone(name)
        plain = copy.deepcopy(model).eval()
        add_lora(model, rank=4).eval()
        torch.testing.assert_close(model(**kwargs).last_hidden_state, plain(**kwargs).last_hidden_state)
        trained = {n for n, p in model.named_parameters() if p.requires_grad}
        assert sum("lora_A" in n for n in trained) == 4  # query and value of two blocks
        biases = {n for n in trained if n.endswith("base_layer.bias")}
        assert len(biases) == 4
        assert {n for n in trained if "lora" not in n} == biases

    def test_houlsby_with_zero_adapters_is_the_pretrained_model(self, name):
        model, kwargs = backbone(name)
        plain = copy.deepcopy(model).eval()
        add_houlsby(model, 4, "relu").eval()
        changed = model(**kwargs).last_hidden_state
        assert not torch.equal(changed, plain(**kwargs).last_hidden_state)
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if ".adapter." in parameter_name:
                    parameter.zero_()
        torch.testing.assert_close(model(**kwargs).last_hidden_state, plain(**kwargs).last_hidden_state)
        assert all(p.requires_grad == (".adapter." in n) for n, p in model.named_parameters())

    def test_every_trained_parameter_gets_a_gradient(self, name):
        for prepare in (
            lambda m: add_lora(m, 2),
            lambda m: add_houlsby(m, 2, "gelu"),
            lambda m: m.requires_grad_(True),
            train_biases,
        ):
            model, kwargs = backbone(name)
            tuned = TunedBackbones([prepare(model)], ["mean"], 8)
            (tuned([(kwargs, None)]) ** 2).sum().backward()
            # the mask token of ViT is never used; LoRA's A has no gradient while B is zero
            missing = {n for n, p in tuned.named_parameters() if p.requires_grad and p.grad is None}
            assert not {n for n in missing if "mask_token" not in n}

    def test_bitfit_changes_biases_alone_and_all_of_them(self, name):
        model, kwargs = backbone(name)
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.SGD(train_biases(model).parameters(), lr=0.1)
        (model(**kwargs).last_hidden_state * torch.randn(2, 1, SMALL["hidden_size"])).sum().backward()
        optimizer.step()
        trained = {n for n, p in model.named_parameters() if p.requires_grad}
        # LayerNorms' shifts are biases too, and each bias is one value per output
        assert trained == {n for n, p in model.named_parameters() if n.rpartition(".")[2].endswith("bias")}
        assert all(model.get_parameter(n).ndim == 1 for n in trained)
        assert any("norm" in n.lower() for n in trained)
        changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
        assert changed <= trained
        # a key's bias adds the same to all scores of a query, so its gradient is rounding
        assert not {n for n in trained - changed if "key" not in n and "k_proj" not in n}


def test_bitfit_needs_biases():
    sizes = {**SMALL, "num_key_value_heads": 2, "vocab_size": 30}
    with pytest.raises(ConfigError, match="LlamaModel has no bias terms"):
        train_biases(LlamaModel(LlamaConfig(**sizes)))


def test_unknown_architecture_is_refused():
    model, _ = backbone("bert")
    model.encoder.layer[0].output.dense = torch.nn.Identity()
    with pytest.raises(ConfigError, match=r"BertModel.*two per block: use lora"):
        add_houlsby(model, 4, "relu")


def test_language_models_take_adapters_behind_attention_and_feed_forward():
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaModel(LlamaConfig(vocab_size=9, **sizes))
    tokens = torch.arange(6)[None]
    before = model(tokens).last_hidden_state
    adapted = add_houlsby(model, 4, "relu")
    trained = {name.split(".adapter.")[0] for name, p in adapted.named_parameters() if p.requires_grad}
    places = ("self_attn.o_proj", "mlp.down_proj")
    assert trained == {f"layers.{block}.{place}" for block in (0, 1) for place in places}
    # adapters start near the identity: N(0, 0.01^2) twice
    torch.testing.assert_close(adapted(tokens).last_hidden_state, before, rtol=0, atol=0.05)


def test_frozen_read_out_takes_unequal_widths():
    read_out = FinalReadOut([4, 6], 3)
    vectors = read_out([torch.ones(5, 4), torch.ones(5, 6)])
    assert vectors.shape == (5, 3)


@pytest.mark.parametrize("pooling", ["first", "mean", "last"])
def test_texts_in_groups_of_like_length_are_the_texts_together(pooling, monkeypatch):
    monkeypatch.setattr("sanrec.models.tuning.GROUP", 3)
    model, _ = backbone("bert")
    model.eval()
    lengths = torch.tensor([4, 9, 1, 6, 9, 2, 3, 5])
    attention = (torch.arange(9) < lengths[:, None]).long()
    ids = torch.randint(1, 30, (8, 9), generator=torch.Generator().manual_seed(2))
    read = []

    def note(_, args, kwargs):
        read.append(tuple(kwargs["input_ids"].shape))

    model.register_forward_pre_hook(note, with_kwargs=True)
    found = final_states(model, {"input_ids": ids, "attention_mask": attention}, attention, pooling)
    assert read == [(3, 3), (3, 6), (2, 9)]  # of lengths 1, 2, 3; 4, 5, 6; 9, 9
    whole = model(input_ids=ids, attention_mask=attention).last_hidden_state
    torch.testing.assert_close(found, pool_final(whole, attention, pooling))


def test_few_texts_are_one_group():
    model, _ = backbone("bert")
    model.eval()
    ids = torch.tensor([[1, 5, 7, 2], [1, 9, 2, 0]])
    mask = (ids > 0).long()
    found = final_states(model, {"input_ids": ids, "attention_mask": mask}, mask, "first")
    assert torch.equal(found, model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0])

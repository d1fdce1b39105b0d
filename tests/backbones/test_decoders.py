"""Decoder language models: small checkpoints of the real classes, against transformers alone, one item at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from sanrec.backbones import extract as step
from sanrec.backbones.checkpoints import load_backbone, open_checkpoint
from sanrec.backbones.inputs import expected_input_settings
from sanrec.backbones.pooling import encode, pool
from sanrec.backbones.readers import TextInputs
from sanrec.backbones.store import USED, open_hidden
from sanrec.config import Backbone
from sanrec.load import load_config

KINDS = ("llama", "gemma", "mistral", "mixtral")
BLOCKS, WIDTH, TOKENS = 7, 16, 8


@pytest.fixture(scope="module")
def extracted(world, decoders, tmp_path_factory):
    """Extracts the tiny corpus' titles through a decoder, with changes to its record; gives the opened store."""
    root = tmp_path_factory.mktemp("stores")
    usual = {"modality": "text", "source": "folder", "pooling": "mean", "blocks": BLOCKS, "width": WIDTH}
    usual |= {"max_tokens": TOKENS, "chunk_rows": 8, "batch_size": 4}

    def config_with(kind, **changes):
        record = Backbone(**(usual | {"checkpoint": kind} | changes)).model_dump()
        corpora = {"tiny": world.config.corpora["tiny"].model_dump()}
        return load_config({"backbones": {kind: record}, "corpora": corpora})

    def run(kind, **changes):
        out = root / f"{kind}-{'-'.join(f'{k}={v}' for k, v in changes.items())}.json"
        config = config_with(kind, **changes)
        if not out.exists():
            step.extract(config, "tiny", "title", kind, world.items, decoders / f"{kind}.json", out, device="cpu")
        return open_hidden(out, step.expected_settings(config, "tiny", "title", kind))

    run.config_with = config_with
    return run


def official(folder: Path, title: str, pooling: str) -> np.ndarray:
    """All hidden states [L, D] of one title without any padding, pooled by a plain loop over its tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(title, truncation=True, max_length=TOKENS)["input_ids"]
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False).hidden_states
    real = [k for k, token in enumerate(ids) if not (k == 0 and token == tokenizer.bos_token_id)]
    rows = []
    for state in states:
        tokens = [state[0, k].numpy() for k in real]
        rows.append(tokens[-1] if pooling == "last" else sum(tokens) / len(tokens))
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_padded_batches_give_what_each_title_gives_by_itself(world, decoders, extracted, kind, pooling):
    store = extracted(kind, pooling=pooling)
    hidden, valid = store.read_layers(range(BLOCKS + 1)).astype(np.float32), store.read_valid()
    assert hidden.shape == (len(world.rows), BLOCKS + 1, WIDTH)
    lengths = set()
    for k, row in enumerate(world.rows):
        if valid[k] == USED:
            lengths.add(len(row["title"].split()))
            want = official(decoders / kind, row["title"], pooling)
            np.testing.assert_allclose(hidden[k], want, rtol=3e-3, atol=4e-3)
    assert len(lengths) > 5  # the titles differ in length, so that batches were padded
    used = hidden[valid == USED]
    assert np.ptp(used[:, -1], axis=0).max() > 0.1  # and in their states


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_hidden_state_and_the_final_one_are_both_behind_the_last_norm(extracted, kind):
    store = extracted(kind, pooling="mean")
    assert np.array_equal(store.read_layers([BLOCKS])[:, 0], store.read_final())


def test_bos_is_attended_to_but_not_pooled(world, decoders, extracted):
    inputs = {kind: TextInputs(open_checkpoint(decoders / f"{kind}.json"), TOKENS) for kind in KINDS}
    assert {kind: one.settings["bos"] for kind, one in inputs.items()} == dict.fromkeys(KINDS, 1)
    leading = {kind: int(one.read("red cat")["input_ids"][0]) == 1 for kind, one in inputs.items()}
    assert leading == {"llama": True, "gemma": True, "mistral": True, "mixtral": False}
    # at the embeddings nothing is mixed yet: the mean is that of the words alone
    table = load_backbone(decoders / "llama.json").get_input_embeddings().weight.detach().numpy()
    title = world.rows[5]["title"]
    read = inputs["llama"].read(title)
    words = read["input_ids"][1 : int(read["length"])]
    assert len(words) == len(title.split())
    stored = extracted("llama", pooling="mean").read_layers([0], np.array([5]))[0, 0]
    np.testing.assert_allclose(stored, table[words].mean(0), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_a_tokenizer_that_pads_on_the_left_or_not_at_all_makes_no_difference(decoders, kind):
    folder = decoders / kind
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.padding_side == "left"
    assert (tokenizer.pad_token is None) == (kind == "llama")
    read = TextInputs(open_checkpoint(decoders / f"{kind}.json"), TOKENS).read("sun moon")
    assert int(read["length"]) == 3
    assert read["input_ids"][0] == 1
    assert not read["input_ids"][3:].any()


@pytest.mark.parametrize("how", ["mean", "last"])
def test_padding_on_the_left_pools_as_padding_on_the_right(how):
    states = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    lengths = [6, 1, 3, 4]
    right = (torch.arange(6) < torch.tensor(lengths)[:, None]).long()
    turned = torch.stack([torch.roll(one, 6 - n, 0) for one, n in zip(states, lengths, strict=True)])
    torch.testing.assert_close(pool(states, right, how), pool(turned, right.flip(1), how))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_close_and_pooled_in_float32(decoders, kind, dtype):
    ids = torch.tensor([[1, 5, 9, 4, 7, 6]])
    kwargs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    mask = torch.tensor([[0, 1, 1, 1, 1, 1]])
    with torch.inference_mode():
        whole, _ = encode(load_backbone(decoders / f"{kind}.json"), kwargs, mask, "mean")
        model = load_backbone(decoders / f"{kind}.json", dtype=dtype)
        hidden, final = encode(model, kwargs, mask, "mean")
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    assert hidden.dtype == final.dtype == torch.float32
    off = (hidden - whole).norm(dim=-1) / whole.norm(dim=-1)
    assert 0 < off.max() < (0.1 if dtype == "bfloat16" else 0.02)


def test_the_dtype_is_a_setting_of_the_states_but_not_of_the_inputs(extracted):
    plain, half = extracted.config_with("llama"), extracted.config_with("llama", dtype="bfloat16")
    names = "tiny", "title", "llama"
    changed = step.expected_settings(half, *names).items() - step.expected_settings(plain, *names).items()
    assert changed == {("dtype", "bfloat16")}
    assert "dtype" not in step.expected_settings(plain, *names)
    assert expected_input_settings(half, *names) == expected_input_settings(plain, *names)
    assert extracted("llama", dtype="bfloat16").manifest["settings"]["dtype"] == "bfloat16"


def test_a_decoder_is_known_without_its_head_and_keeps_no_cache(decoders):
    for kind in KINDS:
        checkpoint = open_checkpoint(decoders / f"{kind}.json")
        assert checkpoint.is_decoder
        assert checkpoint.config["architectures"][0].endswith("ForCausalLM") == (kind in ("llama", "gemma"))
        model = load_backbone(decoders / f"{kind}.json")
        assert model.config.use_cache is False
        assert not [name for name, _ in model.named_parameters() if "lm_head" in name]

"""A small Llama whose weights are really stored in 4 bits, in the format of GPTQ, read as the 70 b models are.

The packages for it are not among the requirements (docs/backbones.md); without them these tests are skipped.
"""

import importlib.util
import json

import pytest
import torch
import transformers
from safetensors.torch import save_file

from sanrec.backbones.checkpoints import load_backbone
from sanrec.backbones.placing import QUANTISED
from sanrec.backbones.pooling import encode

BLOCKS, WIDTH, GROUP = 3, 64, 32
pytestmark = [
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, QUANTISED["gptq"][0])),
        reason="gptqmodel and optimum are not installed (requirements-gptq.txt)",
    ),
    # GPTQModel leaves a temporary folder to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def packed(weight_OI: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The four tensors of a linear layer in GPTQ's format, rounded to the nearest of 16 steps, and what they stand for.

    Eight numbers of 4 bits go into an int32, along the inputs; a scale and a zero point (8, written as 7) hold for
    GROUP inputs of one output.
    """
    outputs, inputs = weight_OI.shape
    grouped = weight_OI.T.reshape(inputs // GROUP, GROUP, outputs)
    scales = (grouped.abs().amax(1) / 7).half()
    steps = (grouped / scales[:, None].float()).round().clamp(-8, 7) + 8
    meant = ((steps - 8) * scales[:, None].float()).reshape(inputs, outputs).T
    places = 4 * torch.arange(8)
    steps = steps.reshape(inputs // 8, 8, outputs).long()
    zeros = torch.full((inputs // GROUP, outputs // 8, 8), 7)
    tensors = {
        "qweight": (steps << places[:, None]).sum(1).to(torch.int32),
        "qzeros": (zeros << places).sum(2).to(torch.int32),
        "scales": scales,
        "g_idx": (torch.arange(inputs) // GROUP).to(torch.int32),
    }
    return tensors, meant


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    """The manifest of a quantised checkpoint, and the same model with the weights that its integers stand for."""
    folder = tmp_path_factory.mktemp("gptq") / "llama"
    folder.mkdir()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=WIDTH, num_hidden_layers=BLOCKS, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, max_position_embeddings=32, initializer_range=0.1,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    tensors = {}
    for name, parameter in model.named_parameters():
        if name.endswith("_proj.weight"):
            parts, meant = packed(parameter.detach())
            tensors |= {f"{name.removesuffix('weight')}{part}": value for part, value in parts.items()}
            parameter.data = meant
        else:
            tensors[name] = parameter.detach().half()
            parameter.data = parameter.data.half().float()
    written = config.to_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": "float16"}
    written["quantization_config"] = {
        "quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True, "damp_percent": 0.01,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(written))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    folder.with_name("llama.json").write_text('{"folder": "llama"}')
    return folder.with_name("llama.json"), model.model


def test_its_hidden_states_are_those_of_the_weights_that_the_integers_stand_for(quantised):
    manifest, plain = quantised
    model = load_backbone(manifest, "cpu", "float16", "auto")
    assert not [name for name, _ in model.named_parameters() if name.endswith("q_proj.weight")]
    ids = torch.tensor([[1, 5, 9, 4, 7, 6], [1, 3, 8, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    kwargs = {"input_ids": ids, "attention_mask": mask}
    with torch.inference_mode():
        hidden, final = encode(model, kwargs, mask, "mean")
        want, want_final = encode(plain, kwargs, mask, "mean")
    assert hidden.shape == (2, BLOCKS + 1, WIDTH)
    assert hidden.dtype == torch.float32
    # its processor kernels compute in bfloat16
    assert (hidden - want).norm() / want.norm() < 0.02
    assert (final - want_final).norm() / want_final.norm() < 0.02
    assert (want[0] - want[1]).norm() / want.norm() > 0.2

"""The built-in backbones: what their records say holds for the classes they name."""

import re
from pathlib import Path

import pytest

from sanrec.backbones.checkpoints import empty_backbone
from sanrec.backbones.registry import BACKBONES
from sanrec.config import Config
from sanrec.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"
HUB = {name: record for name, record in BACKBONES.items() if record.source == "hub"}
UNPINNED = {"vit-huge", "llama-3-70b-gptq"}  # no commit of theirs could be found in public text

# numbers in the published checkpoints, without task heads (vocabulary x width) and poolers
PARAMETERS = {
    "bert-base": 109_482_240 - 768 * 769,
    "bert-large": 335_141_888 - 1024 * 1025,
    "gemma-7b": 8_537_680_896,  # its head is the embedding
    "mistral-7b": 7_241_732_096 - 32_000 * 4096,
    "llama-2-7b": 6_738_415_616 - 32_000 * 4096,
    "llama-3-8b": 8_030_261_248 - 128_256 * 4096,
    "mixtral-8x7b": 46_702_792_704 - 32_000 * 4096,
    "llama-3-70b-gptq": 70_553_706_496 - 128_256 * 8192,
    "vit-base": 85_798_656,
    "vit-large": 303_301_632,
    "vit-huge": 630_764_800,
}
SAME = {
    "gemma-7b-it": "gemma-7b", "mistral-7b-it": "mistral-7b", "llama-2-7b-chat": "llama-2-7b",
    "llama-3-8b-it": "llama-3-8b", "mixtral-8x7b-it": "mixtral-8x7b", "llama-3-70b-gptq-it": "llama-3-70b-gptq",
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_architecture_has_the_published_number_of_parameters(name, tmp_path):
    model = empty_backbone(tmp_path / "none.json", BACKBONES[name], name)  # compares depth and width too
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("tuned", "base"), SAME.items())
def test_an_instruction_tuned_form_is_its_base_with_other_weights(tuned, base):
    mine, its = BACKBONES[tuned], BACKBONES[base]
    assert mine.checkpoint != its.checkpoint
    assert mine.revision != its.revision
    assert mine.model_copy(update={"checkpoint": its.checkpoint, "revision": its.revision}) == its


def test_every_hub_backbone_is_pinned_or_known_not_to_be():
    assert {name for name, record in HUB.items() if record.revision is None} == UNPINNED
    assert len({record.revision for record in HUB.values()} - {None}) == len(HUB) - len(UNPINNED)
    for name in UNPINNED:
        with pytest.raises(ConfigError, match=rf"backbones\.{name}: .*pinned to no revision.*40 digits.*folder"):
            HUB[name].pinned(name)
    assert all(record.license != "unknown" for record in HUB.values())


def test_language_models_run_in_half_precision_and_are_pooled_over_their_tokens():
    for name, record in HUB.items():
        is_decoder = record.architecture["model_type"] in ("gemma", "llama", "mistral", "mixtral")
        assert (record.dtype != "float32") == is_decoder, name
        assert record.gated == (record.license in ("gemma", "llama2", "llama3") and not record.quantization), name
        if is_decoder:
            assert record.pooling == "mean"


def test_the_page_shows_every_hub_backbone_as_the_registry_has_it():
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if match := re.fullmatch(r"`([a-z0-9-]+)`", cells[0]):
            rows.setdefault(match[1], " ".join(cells[1:]))
    assert set(HUB) <= set(rows)
    for name, record in HUB.items():
        shape = f"{record.blocks} x {record.width:,}"
        for part in (record.checkpoint, record.revision or "none known", record.license, shape, record.dtype):
            assert part in rows[name], (name, part)


def test_records_are_found_in_the_config_by_name():
    assert Config(backbones=BACKBONES).find("backbone", "llama-3-8b").width == 4096
    with pytest.raises(ConfigError, match="did you mean 'llama-3-8b"):
        Config(backbones=BACKBONES).find("backbone", "llama3-8b")

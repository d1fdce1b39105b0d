"""Rows on item ids: what a study makes of their inputs, and what their towers are called."""

import pytest

from sanrec import artifacts
from sanrec.load import load_config
from sanrec.reporting.figure_specs import tower_names
from sanrec.reporting.stand_ins import missing_backbone, studied_inputs


@pytest.mark.parametrize(
    ("inputs", "names"), [("ID", ()), ("ID+TV", ("T", "V")), ("ID+video@videomae-base", ("video",))]
)
def test_ids_are_no_tower(inputs, names):
    run = artifacts.run(load_config(), "demo", "sasrec", inputs)
    found = tower_names(run)
    assert tuple(name.partition("@")[0] for name in found) == names


def test_backbones_that_stand_for_the_papers_do_so_beside_ids():
    config = load_config()
    assert studied_inputs(config, "demo", "ID+title@bert-base+cover@vit-base") == "ID+TI"
    assert studied_inputs(config, "demo", "ID+title@bert-large") == "ID+title@bert-deep"
    assert studied_inputs(config, "demo", "ID") == "ID"
    assert missing_backbone(config, "demo", "ID") == ""
    assert missing_backbone(config, "demo", "ID+V") == ""
    assert "nothing stands for llama-3-70b-gptq" in missing_backbone(config, "demo", "ID+title@llama-3-70b-gptq")

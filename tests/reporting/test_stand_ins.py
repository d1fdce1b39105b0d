"""What a study makes of the papers' rows: stand-ins, rows without runs and rows of means, up to a finished table."""

import numpy as np
import pandas as pd
import pytest

from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.reporting.specs import TableSpec, load_table
from sanrec.reporting.stand_ins import as_studied, missing_backbone, stand_ins_used, studied_inputs
from sanrec.reporting.table_runs import needs_of, row_runs, runs_of
from sanrec.reporting.tables import make_table

BOTH = "title@bert-base+cover@vit-base"
LARGE = "title@bert-large+cover@vit-base"
HUGE = "title@bert-base+cover@vit-huge"


def declare(*rows, **more):
    values = {"title": "T", "paper": "iisan-versa", "kind": "comparison", "reference": "r.csv", "metrics": ["HR@10"]}
    beside = [{"paper": "Scientific", "dataset": "scientific"}]
    return TableSpec(**values, beside=beside, data="amazon_datasets", datasets=1, rows=rows, **more)


def row(label, inputs, **more):
    return {"label": label, "model": "iisan", "inputs": inputs, **more}


@pytest.mark.parametrize(
    ("study", "dataset", "text", "expected"),
    [
        ("demo", "demo", BOTH, "TI"),
        ("paper", "scientific", BOTH, "TI"),
        ("demo", "demo", LARGE, "title@bert-deep+cover"),
        ("paper", "scientific", LARGE, "title@bert-large+cover"),
        ("demo", "demo", "TIVA", "TIVA"),
        ("demo", "demo", "title@llama+cover", "title@llama+cover"),  # one of the user's own is itself
        ("demo", "demo", "title@bert-base+cover-caption", "title+cover-caption"),
    ],
)
def test_inputs_have_the_studys_backbones_in_canonical_spelling(study, dataset, text, expected):
    assert studied_inputs(load_config({"study": study}), dataset, text) == expected


def test_in_a_demo_what_nothing_stands_for_is_left_out_and_nothing_else():
    config = load_config()
    assert "nothing stands for gemma-7b in study 'demo'" in missing_backbone(config, "demo", "title@gemma-7b+cover")
    assert missing_backbone(config, "demo", "title@llama-3-8b+cover") == ""
    assert missing_backbone(config, "demo", "title@llama+cover") == ""
    assert missing_backbone(config, "demo", "TI") == ""


def test_backbones_without_a_revision_or_that_the_study_goes_without():
    config = load_config({"study": "paper"})
    assert "no revision of vit-huge is pinned" in missing_backbone(config, "scientific", HUGE)
    pinned = load_config({"study": "paper", "backbones": {"vit-huge": {"revision": "a" * 40}}})
    assert missing_backbone(pinned, "scientific", HUGE) == ""
    small = load_config({"study": "paper", "studies": {"paper": {"without": ["bert-large"]}}})
    assert "goes without bert-large" in missing_backbone(small, "scientific", LARGE)
    assert missing_backbone(small, "scientific", BOTH) == ""


def test_misspelled_backbones_are_named_with_their_row():
    with pytest.raises(ConfigError, match=r"row 'A' of table 'T'.*bert-bsae"):
        as_studied(load_config({"study": "paper"}), declare(row("A", "title@bert-bsae+cover")))
    with pytest.raises(ConfigError, match="bert-bsae"):
        as_studied(load_config(), declare(row("A", "title@bert-bsae+cover")))


def test_what_compares_a_row_without_runs_goes_with_it():
    table = declare(
        row("A", BOTH),
        row("B", LARGE),
        row("C", HUGE),
        {"label": "D", "missing": "not here"},
        comparisons=[{"label": "BA", "ours": "B", "other": "A"}, {"label": "CA", "ours": "C", "other": "A"}],
        significance={"ours": ["A", "B"], "against": ["C", "D"]},
    )
    studied = as_studied(load_config({"study": "paper"}), table)
    assert [bool(one.missing) for one in studied.rows] == [False, False, True, True]
    assert [c.label for c in studied.comparisons] == ["BA"]
    assert studied.significance is None  # nothing is left to test against
    assert len(needs_of(load_config({"study": "paper"}), table)) == 2 * 2
    assert [run.inputs_text for run in runs_of(load_config(), as_studied(load_config(), table))] == [
        "TI",
        "title@bert-deep+cover",
    ]
    assert stand_ins_used(load_config(), as_studied(load_config(), table)) == {
        "bert-base": "bert",
        "vit-base": "vit",
        "bert-large": "bert-deep",
    }


def test_a_table_of_which_no_row_is_left_is_an_error():
    with pytest.raises(ConfigError, match="no runs of any row: no revision of vit-huge"):
        as_studied(load_config({"study": "paper"}), declare(row("C", HUGE)))


def test_a_row_has_a_run_or_a_reason():
    with pytest.raises(ValueError, match="'model' and 'inputs', or under 'missing'"):
        declare({"label": "A", "model": "iisan"})


def test_means_and_rows_of_the_paper_alone_in_a_finished_table(tmp_path, write_run):
    config = load_config()
    table = declare(
        row("A", BOTH),
        row("C", HUGE),
        row("B", LARGE),
        means=[{"label": "Mean of A, B", "of": ["A", "B"]}, {"label": "Mean with C", "of": ["A", "C"]}],
    )
    ranks = {"A": [1, 1, 20, 20], "B": [1, 20, 20, 20]}
    for (label, _), runs in row_runs(config, as_studied(config, table)).items():
        write_run(runs[0], ranks[label])
    lines = ["dataset,row,metric,value,star", "Scientific,A,HR@10,0.4,", "Scientific,C,HR@10,0.9,"]
    lines += ["Scientific,Mean with C,HR@10,0.65,"]
    (tmp_path / "r.csv").write_text("\n".join(lines) + "\n")
    make_table(config, table, tmp_path / "r.csv", tmp_path / "out", root=tmp_path)
    frame = pd.read_csv(tmp_path / "out.csv").set_index("row")
    assert frame["kind"].to_dict() == {
        "A": "system",
        "C": "paper only",
        "B": "system",
        "Mean of A, B": "mean",
        "Mean with C": "mean",
    }
    assert frame.loc["Mean of A, B", "Demo HR@10"] == pytest.approx((0.5 + 0.25) / 2)
    assert np.isnan(frame.loc["Mean with C", "Demo HR@10"])  # one of its systems has no figures here
    assert frame.loc["Mean with C", "paper Scientific HR@10"] == 0.65
    assert frame.loc["C", "paper Scientific HR@10"] == 0.9
    assert np.isnan(frame.loc["C", "Demo HR@10"])
    assert np.isnan(frame.loc["C", "Demo HR@10 difference"])
    text = (tmp_path / "out.md").read_text()
    assert "| C | – | **0.9000** | – |" in text  # best of the paper's column
    assert "| Mean of A, B | 0.3750 | – | – |" in text  # a mean is no system: neither best nor in percent
    assert "Here bert stands for bert-base" in text
    assert "The paper's figures only, for nothing stands for vit-huge in study 'demo': C." in text
    assert "Mean with C" in (tmp_path / "out.html").read_text()


def test_the_demo_declares_stand_ins_that_exist(repository):
    config = load_config()
    for ours in config.chosen_study.stand_ins.values():
        assert config.backbones[ours].source == "demo"
    table = as_studied(config, load_table(repository / "workflow/tables/iisan-versa/table4.yaml"))
    assert [one.label for one in table.systems] == [
        "BERT-base+ViT-base",
        "BERT-large+ViT-base",
        "Llama3-8b+ViT-base",
        "CROSSAN, BERT-base+ViT-base",
        "CROSSAN, Llama3-8b+ViT-base",
    ]

"""IISAN-Versa's Tables III to IX: the runs they take, and that the printed figures agree with themselves."""

import numpy as np
import pytest

from sanrec.layers import kept_layers
from sanrec.load import load_config
from sanrec.reporting.reference import read_reference
from sanrec.reporting.specs import load_table
from sanrec.reporting.stand_ins import as_studied
from sanrec.reporting.table_runs import needs_of, row_runs

PAPER = load_config({"study": "paper", "seeds": [1]})
ROUNDING = 5e-5
BEYOND = {  # rows that are not in the papers
    4: {"CROSSAN, BERT-base+ViT-base", "CROSSAN, Llama3-8b+ViT-base"},
    9: {
        "Title + both captions (IISAN-E)",
        "Title + both captions (CROSSAN)",
        "Title + cover + video caption (CROSSAN)",
    },
}


@pytest.fixture
def read(repository):
    def read(number):
        table = load_table(repository / f"workflow/tables/iisan-versa/table{number}.yaml")
        return table, read_reference(repository / table.reference, table)["value"]

    return read


def runs(table, config=PAPER):
    found = row_runs(config, as_studied(config, table))
    return {label: runs[0] for (label, dataset), runs in found.items()}


@pytest.mark.parametrize(
    ("number", "cells"), [(3, 3 * 2 * 7), (4, 17 * 2), (5, 21 * 2), (6, 12 * 2), (7, 5 * 2), (8, 25 * 2), (9, 10 * 2)]
)
def test_every_figure_of_the_paper_has_its_row_and_every_row_its_figures(read, number, cells):
    table, reference = read(number)
    assert len(reference) == cells
    printed = set(reference.index.get_level_values("row"))
    labels = {one.label for one in (*table.rows, *table.means)}
    assert labels - printed == BEYOND.get(number, set())
    assert printed - labels <= {c.label for c in table.comparisons}


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (3, ("Scientific", "IISAN-VA", "HR@10"), "0.0729"),
        (3, ("Instrument", "LoRA", "NDCG@10"), "0.0664"),
        (3, ("Office", "IISAN-VA over IISAN-VS", "NDCG@10"), "0.0372"),
        (4, ("Scientific", "Llama3-70b-GPTQ+ViT-base", "HR@10"), "0.0814"),
        (4, ("Scientific", "Gemma-7b-it+ViT-base", "NDCG@10"), "0.0446"),
        (5, ("Microlens", "GRU4Rec (v)", "HR@10"), "0.0954"),
        (6, ("Scientific", "IISAN-VA w/o intra-modality", "NDCG@10"), "0.0443"),
        (6, ("Scientific", "IISAN-VS frozen backbone", "HR@10"), "0.0600"),
        (7, ("Scientific", "3 blocks", "NDCG@10"), "0.0412"),
        (8, ("Scientific", "12(down)+6(top)", "HR@10"), "0.0714"),
        (8, ("Scientific", "Mean (6+6)", "NDCG@10"), "0.0433"),
        (9, ("Microlens", "Cover caption x2", "HR@10"), "0.0892"),
    ],
)
def test_figures_are_as_printed(read, number, key, value):
    assert read(number)[1].at[key] == value


def test_table_3_s_improvements_are_over_ours_within_rounding(read):
    table, reference = read(3)
    for dataset in ("Scientific", "Instrument", "Office"):
        for metric in table.metrics:
            ours, other, printed = (
                float(reference.at[dataset, row, metric]) for row in ("IISAN-VA", "IISAN-VS", "IISAN-VA over IISAN-VS")
            )
            low = 1 - (other + ROUNDING) / (ours - ROUNDING) - ROUNDING
            high = 1 - (other - ROUNDING) / (ours + ROUNDING) + ROUNDING
            assert low <= printed <= high


def test_table_8_s_means_are_those_of_their_rows(read):
    table, reference = read(8)
    assert [mean.label for mean in table.means] == ["Mean (12+12)", "Mean (12+6)", "Mean (6+6)"]
    assert [len(mean.of) for mean in table.means] == [3, 9, 9]
    for mean in table.means:
        for metric in table.metrics:
            computed = np.mean([float(reference.at["Scientific", label, metric]) for label in mean.of])
            assert float(reference.at["Scientific", mean.label, metric]) == pytest.approx(computed, abs=1.5 * ROUNDING)


def test_tables_3_and_5_hold_the_larger_encoder_against_the_others(read):
    for number, dataset, variant in ((3, "scientific", "default"), (5, "microlens-100k", "tuned")):
        found = runs(read(number)[0])
        versa = {label: (run.model, run.inputs_text, run.variant) for label, run in found.items() if "IISAN" in label}
        assert versa == {
            "IISAN-VS": ("iisan", "TI", variant),
            "IISAN-VA": ("iisan", "title@bert-large+cover", variant),
        }
        assert {run.dataset for (_, d), some in row_runs(PAPER, read(number)[0]).items() for run in some} >= {dataset}
    assert {run.dataset for some in row_runs(PAPER, read(3)[0]).values() for run in some} == {
        "scientific",
        "instrument",
        "office",
    }


def test_table_4_runs_all_that_can_be_had(read):
    table = as_studied(PAPER, read(4)[0])
    unpinned = {"BERT-base+ViT-huge", *(f"Llama3-70b-GPTQ+ViT-{size}" for size in ("base", "large", "huge"))}
    assert {row.label for row in table.rows if row.missing} == unpinned
    assert runs(read(4)[0])["Mixtral-8x7b-it+ViT-base"].inputs_text == "title@mixtral-8x7b-it+cover"
    assert runs(read(4)[0])["BERT-base+ViT-large"].inputs_text == "title+cover@vit-large"
    assert runs(read(4)[0])["CROSSAN, Llama3-8b+ViT-base"].model == "crossan"


def test_table_5_runs_every_row_with_what_a_search_of_as_many_trials_finds(read):
    table, reference = read(5)
    studied = as_studied(PAPER, table)
    assert not [row.label for row in studied.rows if row.missing]
    assert studied.significance == table.significance
    assert {row.label for row in table.rows} == set(reference.index.get_level_values("row"))
    found = runs(table)
    assert all(run.search for run in found.values())
    of_videos = {label: run.search for label, run in found.items() if label.endswith("(v)")}
    root = "results/microlens-100k/tuning/full/V"
    assert of_videos == {
        "NextItNet (v)": f"{root}/user_encoder=nextitnet.yaml",
        "GRU4Rec (v)": f"{root}/user_encoder=gru4rec.yaml",
        "SASRec (v)": f"{root}.yaml",
    }
    needed = needs_of(PAPER, table)
    assert {run.search for run in found.values()} <= set(needed)


def test_table_6_takes_out_one_part_at_a_time(read):
    found = runs(read(6)[0])
    for name, inputs in (("IISAN-VS", "TI"), ("IISAN-VA", "title@bert-large+cover")):
        taken_out = {label.removeprefix(name).strip(): run for label, run in found.items() if label.startswith(name)}
        assert {run.inputs_text for run in taken_out.values()} == {inputs}
        assert {part: (run.model, run.variant) for part, run in taken_out.items()} == {
            "w/o LayerDrop": ("iisan", "layers=full"),
            "w/o modality gate": ("iisan", "gating=false"),
            "frozen backbone": ("frozen", "default"),
            "w/o inter-modality": ("iisan", "inter=false"),
            "w/o intra-modality": ("iisan", "intra=false"),
            "": ("iisan", "default"),
        }


def test_table_7_keeps_the_last_block_of_each_group(read):
    found = {label: (run.settings.layers, run.settings.blocks) for label, run in runs(read(7)[0]).items()}
    assert list(found) == [f"{number} blocks" for number in (2, 3, 4, 6, 12)]
    for label, (rule, blocks) in found.items():
        number = int(label.split()[0])
        assert list(kept_layers(12, rule, blocks)) == [0, *range(12 // number, 13, 12 // number)]
    assert [run.variant for run in runs(read(7)[0]).values()][3:] == ["default", "layers=full"]


def test_table_8_s_labels_say_which_blocks_its_runs_keep(read):
    """Each label, read by a slow and obvious rule, against the layers that the run's setting keeps."""
    for label, run in runs(read(8)[0]).items():
        rules = run.settings.layers.split("+")
        rules = rules * 2 if len(rules) == 1 else rules
        for part, rule, depth in zip(label.split("+"), rules, (24, 12), strict=True):
            number, which = part.rstrip(")").split("(")
            half = depth // 2
            pool = {
                "all": range(1, depth + 1),
                "even_all": range(1, depth + 1),
                "top": range(half + 1, depth + 1),
                "down": range(1, half + 1),
                "even_top12": range(13, 25),
                "even_down12": range(1, 13),
            }[which]
            step = (len(pool) - 1) // (int(number) - 1)
            expected = [0, *sorted(list(pool)[::-1][::step][: int(number)])]
            assert list(kept_layers(depth, rule, run.settings.blocks)) == expected, (label, part)


def test_table_9_gives_each_text_a_tower_of_its_own(read):
    found = {label: (run.model, run.inputs_text) for label, run in runs(read(9)[0]).items()}
    assert found["Title x2"] == ("iisan", "title+title")
    assert found["Cover caption, full fine-tuning"] == ("full", "cover-caption")
    assert found["Video caption + cover caption"] == ("iisan", "cover-caption+video-caption")
    assert found["Title + cover + video caption (CROSSAN)"] == ("crossan", "title+cover+video-caption")
    assert found["Title, full fine-tuning"] == ("full", "T")

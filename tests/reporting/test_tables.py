"""Tables from hand-made runs: every number checked, the texts held to a golden file."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sanrec import artifacts
from sanrec.errors import DataError
from sanrec.evaluation.metrics import per_user
from sanrec.load import load_config
from sanrec.reporting.specs import TableSpec, load_table
from sanrec.reporting.table_runs import row_runs, runs_of
from sanrec.reporting.tables import make_table

SMALL = {
    "title": "A small table",
    "paper": "crossan",
    "kind": "comparison",
    "reference": "reference.csv",
    "beside": [{"paper": "Paper-100K", "dataset": "microlens-100k"}],
    "metrics": ["HR@5", "MRR@5"],
    "rows": [
        {"label": "IISAN (T+I)", "model": "iisan", "inputs": "TI"},
        {"label": "LoRA", "model": "lora", "inputs": "TI", "settings": {"lora_rank": 4}},
        {"label": "CROSSAN (T+I)", "model": "crossan", "inputs": "TI"},
    ],
    "comparisons": [{"label": "Text+Image", "ours": "CROSSAN (T+I)", "other": "IISAN (T+I)"}],
    "significance": {"ours": ["CROSSAN (T+I)"], "against": ["IISAN (T+I)", "LoRA"]},
}
REFERENCE = """dataset,row,metric,value,star
Paper-100K,IISAN (T+I),HR@5,0.4000,
Paper-100K,CROSSAN (T+I),HR@5,0.5000,*
Paper-100K,Text+Image,HR@5,0.2000,
"""
# Test ranks of eight users, by model and seed. HR@5: iisan 2/8 and 4/8, lora 1/8 twice, ours 1 and 7/8. Averaged over
# seeds, ours - iisan is 0, 0, .5, .5, 1, 1, .5, 1: mean .5625, standard deviation .4173, t = 3.813, p = .0066 (df 7).
RANKS = {
    "iisan": ([1, 2, 9, 9, 9, 9, 9, 9], [1, 2, 3, 4, 9, 9, 0, 9]),
    "lora": ([1, 9, 9, 9, 9, 9, 9, 9], [1, 9, 9, 9, 9, 9, 9, 9]),
    "crossan": ([1, 1, 1, 1, 1, 1, 1, 2], [1, 1, 2, 2, 1, 1, 0, 1]),
}
GOLDEN = r"""# A small table

| Model | Demo HR@5 | Demo MRR@5 | paper Paper-100K HR@5 | paper Paper-100K MRR@5 | Demo HR@5 difference | Demo MRR@5 difference |
| --- | --: | --: | --: | --: | --: | --: |
| IISAN (T+I) | <u>0.3750 ± 0.1768</u> | <u>0.2240 ± 0.0516</u> | <u>0.4000</u> | – | -0.0250 | – |
| LoRA | 0.1250 ± 0.0000 | 0.1250 ± 0.0000 | – | – | – | – |
| CROSSAN (T+I) | **0.9375 ± 0.0884**\* | **0.8438 ± 0.1326**\* | **0.5000**\* | – | +0.4375 | – |
| Text+Image: (ours - other) / ours | +60.00%\* | +73.46%\* | +20.00% | – | +40.00 points | – |
| Text+Image: (ours - other) / other | +150.00%\* | +276.74%\* | +25.00% | – | +125.00 points | – |

## Paired t-tests: p, with Holm's correction in brackets

| Row | Demo HR@5 p | Demo MRR@5 p |
| --- | --: | --: |
| Systems tested against | IISAN (T+I) | IISAN (T+I) |
| CROSSAN (T+I) | 0.0066 (0.0066)\* | 0.0009 (0.0009)\* |
| Text+Image: (ours - other) / ours | 0.0066 (0.0066)\* | 0.0009 (0.0009)\* |

- Study: Mine (mine). Test split of Demo (8 users); full ranking; fractions, not percent.
- Mean ± standard deviation over seeds 0, 1. Best of a column in bold, second underlined.
- \* on a system: better than the best row of the other methods in that very column, p \< 0.05 in a paired two-sided t-test over users (metric averaged over seeds), before correction.
- Relative improvement is given as the papers define it, (ours - other) / ours, and as is usual, (ours - other) / other; the paper's figures of the second kind are computed from its table. Text+Image: CROSSAN (T+I) over IISAN (T+I). \* on an improvement: the same test between these two.
- Holm's correction goes over the systems of a column, and over its improvements.
- Difference: ours - paper.
- Demo is not the paper's Paper-100K: its figures stand beside for orientation only.
"""  # noqa: E501


def study(names=("demo",), seeds=(0, 1), **more):
    mine = {"title": "Mine", "datasets": list(names), "versa_datasets": list(names), "seeds": list(seeds)}
    return load_config({"study": "mine", "studies": {"mine": mine}, **more})


@pytest.fixture
def small(tmp_path, write_run):
    """Make the small table; gives (config, spec, function that makes it anew, the csv's stem)."""
    (tmp_path / "reference.csv").write_text(REFERENCE)
    config, spec = study(), TableSpec(**SMALL)
    for run in runs_of(config, spec):
        write_run(run, RANKS[run.model][run.seed])
    stem = tmp_path / "results/table"

    def make(config=config, spec=spec):
        return make_table(config, spec, tmp_path / "reference.csv", stem, root=tmp_path)

    return config, spec, make, stem


def rows(frame):
    return frame.set_index(["row", "kind"])


def test_the_markdown_is_as_it_should_be(small):
    *_, make, stem = small
    assert [path.name for path in make()] == ["table.csv", "table.md", "table.html"]
    assert stem.with_suffix(".md").read_text(encoding="utf-8") == GOLDEN


def test_the_csv_reads_without_tricks_at_full_precision(small):
    *_, make, stem = small
    make()
    frame = pd.read_csv(stem.with_suffix(".csv"))
    assert len(frame) == 3 + 2
    cells = rows(frame)
    ours, iisan = cells.loc[("CROSSAN (T+I)", "system")], cells.loc[("IISAN (T+I)", "system")]
    assert (iisan["model"], iisan["inputs"], iisan["settings"]) == ("iisan", "TI", "default")
    assert cells.loc[("LoRA", "system"), "settings"] == "lora_rank=4"
    mrr = [np.mean([1 / r if 0 < r <= 5 else 0 for r in ranks]) for ranks in RANKS["crossan"]]
    assert ours["Demo MRR@5"] == pytest.approx(np.mean(mrr), abs=1e-15)
    assert ours["Demo MRR@5 sd"] == pytest.approx(abs(mrr[0] - mrr[1]) / np.sqrt(2), abs=1e-15)  # of two, by n - 1
    values = [np.mean([per_user(ranks, "MRR@5") for ranks in RANKS[m]], axis=0) for m in ("crossan", "iisan")]
    assert ours["Demo MRR@5 p"] == pytest.approx(stats.ttest_rel(*values).pvalue, rel=1e-12)
    assert ours["Demo HR@5 star"] == "*"
    assert ours["Demo HR@5 against"] == "IISAN (T+I)"
    assert pd.isna(iisan["Demo HR@5 p"])
    assert ours["paper Paper-100K HR@5"] == 0.5
    assert ours["paper Paper-100K HR@5 star"] == "*"
    assert ours["Demo HR@5 difference"] == pytest.approx(0.9375 - 0.5)
    assert cells.loc[("Text+Image", "(ours - other) / ours"), "Demo HR@5"] == pytest.approx(0.6)
    assert cells.loc[("Text+Image", "(ours - other) / other"), "Demo HR@5"] == pytest.approx(1.5)
    assert cells.loc[("Text+Image", "(ours - other) / ours"), "paper Paper-100K HR@5"] == 0.2
    assert cells.loc[("Text+Image", "(ours - other) / other"), "paper Paper-100K HR@5"] == pytest.approx(0.25)


def test_one_seed_has_no_standard_deviation(small):
    *_, make, stem = small
    make(config=study(seeds=[1]))
    frame = pd.read_csv(stem.with_suffix(".csv"))
    assert frame["Demo HR@5 sd"].isna().all()
    text = stem.with_suffix(".md").read_text(encoding="utf-8")
    assert "±" not in text
    assert "One run, with seed 1." in text


def test_systems_are_tested_against_the_best_other_of_that_very_column(small, write_run):
    config, spec, make, stem = small
    for run in runs_of(config, spec):  # lora now hits more often but lower: best by HR, not by MRR
        if run.model == "lora":
            write_run(run, [5, 5, 5, 5, 5, 5, 9, 9])
    make()
    ours = rows(pd.read_csv(stem.with_suffix(".csv"))).loc[("CROSSAN (T+I)", "system")]
    assert (ours["Demo HR@5 against"], ours["Demo MRR@5 against"]) == ("LoRA", "IISAN (T+I)")


def test_a_worse_system_gets_no_star_however_sure(small, write_run):
    config, spec, make, stem = small
    for run in runs_of(config, spec):
        write_run(run, [9] * 8 if run.model == "crossan" else [1] * 7 + [2])
    make()
    cells = rows(pd.read_csv(stem.with_suffix(".csv")))
    ours = cells.loc[("CROSSAN (T+I)", "system")]
    assert ours["Demo HR@5 p"] < 0.05
    assert cells["Demo HR@5 star"].isna().all()
    improvement = cells.loc[("Text+Image", "(ours - other) / ours"), "Demo HR@5"]
    assert pd.isna(improvement)  # over nothing
    assert cells.loc[("Text+Image", "(ours - other) / other"), "Demo HR@5"] == -1


def test_made_twice_it_is_the_same_to_the_byte(small):
    *_, make, stem = small
    first = [path.read_bytes() for path in make()]
    assert [path.read_bytes() for path in make()] == first


class Cells(HTMLParser):
    """The texts of a page's table cells, and the tags that it has."""

    def __init__(self):
        super().__init__()
        self.tags, self.rows, self.inside = [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        elif self.inside:
            self.rows[-1].append((dict(attrs).get("class", ""), ""))

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            kind, text = self.rows[-1].pop()
            self.rows[-1].append((kind, text + data))


def test_the_page_has_the_cells_of_the_markdown(small):
    *_, make, stem = small
    make()
    page = Cells()
    page.feed(stem.with_suffix(".html").read_text(encoding="utf-8"))
    assert not {"script", "link", "img"} & set(page.tags)
    found = [[text for _, text in row] for row in page.rows]
    plain = GOLDEN.replace("**", "").replace("<u>", "").replace("</u>", "").replace("\\", "")
    lines = [line.strip("| ").split(" | ") for line in plain.splitlines() if line.startswith("| ")]
    data = [line for line in lines if line[0] not in ("---", "Model", "Row")]
    assert [row for row in found if row[0] in {line[0] for line in data}] == data
    ours = next(row for row in page.rows if row[0][1] == "CROSSAN (T+I)")
    iisan = next(row for row in page.rows if row[0][1] == "IISAN (T+I)")
    assert "best" in ours[1][0].split()
    assert "second" in iisan[1][0].split()
    assert "best" not in ours[5][0].split()  # a difference is neither good nor bad


def test_labels_are_escaped(small, tmp_path):
    nasty = "<script>alert('a & b')</script> | *x*"
    spec = TableSpec(
        **{**SMALL, "title": nasty, "rows": [*SMALL["rows"], {"label": nasty, "model": "iisan", "inputs": "TI"}]}
    )
    _, _, make, stem = small
    make(spec=spec)
    page, text = (stem.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".html", ".md"))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3  # page title, caption and row
    assert "<script" not in text.replace("\\<", "")
    assert r"\| \*x\*" in text
    assert nasty in set(pd.read_csv(stem.with_suffix(".csv"))["row"])


def test_data_sets_of_one_title_are_told_apart(small, write_run, tmp_path):
    config = study(["demo", "demo-half"], datasets={"demo-half": {"title": "Demo"}})
    _, spec, make, stem = small
    for run in runs_of(config, spec):
        write_run(run, RANKS[run.model][run.seed])
    make(config=config)
    frame = pd.read_csv(stem.with_suffix(".csv"))
    assert {"Demo (demo) HR@5", "Demo (demo-half) HR@5"} <= set(frame.columns)
    # the paper has one data set only, so that the second stands alone
    assert "Demo (demo) HR@5 difference" in frame
    assert "Demo (demo-half) HR@5 difference" not in frame
    assert "no data set to stand beside Demo (demo-half)" in stem.with_suffix(".md").read_text()


def test_an_error_names_the_run_and_leaves_the_earlier_table(small, tmp_path):
    config, spec, make, stem = small
    before = [path.read_bytes() for path in make()]
    run = runs_of(config, spec)[-1]
    (tmp_path / run.metrics).unlink()
    with pytest.raises(DataError, match=rf"no such file.*snakemake {run.metrics} --cores"):
        make()
    assert [stem.with_suffix(s).read_bytes() for s in (".csv", ".md", ".html")] == before
    assert sorted(path.name for path in stem.parent.glob("*table*")) == ["table.csv", "table.html", "table.md"]


def test_runs_of_other_users_make_no_table(small, write_run):
    config, spec, make, _ = small
    run = runs_of(config, spec)[-1]
    write_run(run, RANKS["crossan"][1], users=[f"v{n}" for n in range(8)])
    with pytest.raises(DataError, match=run.folder):
        make()


def test_metrics_of_another_training_make_no_table(small, tmp_path):
    config, spec, make, _ = small
    first, other = row_runs(config, spec)["CROSSAN (T+I)", "demo"]
    (tmp_path / first.metrics).write_bytes((tmp_path / other.metrics).read_bytes())
    with pytest.raises(DataError, match="not of the same training"):
        make()


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_table_3_is_whole(repository, tmp_path, write_run, seeds):
    config = load_config({"seeds": seeds})
    table = load_table(repository / "workflow/tables/table3.yaml")
    rng = np.random.default_rng(0)
    for run in runs_of(config, table):
        chance = 0.02 if run.model == "crossan" else 0.01
        write_run(run, rng.geometric(chance, 400 if run.dataset == "demo" else 200))
    make_table(config, table, repository / table.reference, tmp_path / "results/table3", root=tmp_path)
    frame = pd.read_csv(tmp_path / "results/table3.csv")
    systems = frame[frame["kind"] == "system"]
    assert len(systems) == 11
    assert len(frame) == 11 + 2 * 4
    for dataset, paper in (("Demo", "Microlens-100K"), ("Demo-half", "Microlens-50K")):
        for metric in table.metrics:
            assert frame[[f"{dataset} {metric}", f"paper {paper} {metric}"]].notna().all(axis=None)
            np.testing.assert_allclose(
                frame[f"{dataset} {metric} difference"], frame[f"{dataset} {metric}"] - frame[f"paper {paper} {metric}"]
            )
            assert systems[f"{dataset} {metric} sd"].notna().all() == (len(seeds) > 1)
            tested = systems[systems[f"{dataset} {metric} p"].notna()]
            assert set(tested["model"]) == {"crossan"}
            assert len(tested) == 4
            assert (tested[f"{dataset} {metric} p Holm"] >= tested[f"{dataset} {metric} p"]).all()
            baselines = systems[systems["model"] != "crossan"].set_index("row")[f"{dataset} {metric}"]
            assert set(tested[f"{dataset} {metric} against"]) == {baselines.idxmax()}
    # the paper's block is the paper's table
    assert systems.set_index("row").loc["CROSSAN (T+I+V+A)", "paper Microlens-50K HR@20"] == 0.1222


def test_tables_of_statistics(repository, tmp_path, write_statistics):
    config = study(["microlens-50k", "demo"])
    write_statistics("microlens-50k", users=50_000, items=19_099, interactions=339_511, content=["video", "text"])
    write_statistics("demo", users=3_000, items=400, interactions=20_000, content=["text", "image", "video", "audio"])
    for name, content in (("table2", "Raw Content"), ("iisan-versa/table1", "Content")):
        table = load_table(repository / f"workflow/tables/{name}.yaml")
        make_table(config, table, repository / table.reference, tmp_path / "results" / name, root=tmp_path)
        frame = pd.read_csv(tmp_path / f"results/{name}.csv").set_index("Dataset")
        assert list(frame.columns[:4]) == ["Users", "Items", "Interaction", content]
        assert frame.loc["MicroLens-50K", "Interaction"] == 339_511
        assert frame[content].tolist() == ["Text&Video", "Text&Image&Video&Audio"]
    frame = pd.read_csv(tmp_path / "results/table2.csv").set_index("Dataset")
    assert frame["paper Dataset"].tolist() == ["Microlens-50K", "Microlens-100K"]
    assert (
        frame.loc["MicroLens-50K", ["Users difference", "Items difference", "Interaction difference"]].tolist()
        == [0] * 3
    )
    assert frame["Users difference"].dtype == "int64"
    text = (tmp_path / "results/table2.md").read_text()
    assert "| MicroLens-50K | 50,000 | 19,099 | 339,511 | Text&Video | Microlens-50K | 50,000 |" in text
    assert "Demo is not the paper's Microlens-100K" in text
    assert "MicroLens-50K is not" not in text
    page = (tmp_path / "results/table2.html").read_text()
    assert "Text&amp;Image&amp;Video&amp;Audio" in page
    frame = pd.read_csv(tmp_path / "results/iisan-versa/table1.csv").set_index("Dataset")
    assert frame["paper Dataset"].tolist() == ["Scientific", "Instrument"]
    assert frame.loc["MicroLens-50K", "paper Users"] == 12_076


def test_missing_statistics_are_named(repository, tmp_path):
    table = load_table(repository / "workflow/tables/table2.yaml")
    with pytest.raises(DataError, match=r"snakemake results/demo/statistics\.json --cores"):
        make_table(load_config(), table, repository / table.reference, tmp_path / "table2", root=tmp_path)


def test_the_paper_run_path_is_the_default_one(repository):
    """The rows take each data set's own defaults, so that a table shares its runs with every other."""
    config = load_config({"study": "paper"})
    table = load_table(repository / "workflow/tables/table3.yaml")
    for run in runs_of(config, table):
        assert artifacts.parse_run(config, run.metrics) == run

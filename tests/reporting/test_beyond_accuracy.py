"""The table and the figure beyond accuracy, from hand-made runs whose scores are known, held to a slow version."""

import json
import math
import re
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanrec import artifacts
from sanrec.errors import ConfigError, DataError
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.load import load_config
from sanrec.reporting.beyond_specs import BeyondSpec
from sanrec.reporting.figure_kinds import figure_needs, load_figure
from sanrec.reporting.figures import draw, gather, make_figure
from sanrec.reporting.page import styled
from sanrec.reporting.specs import TableSpec, load_table
from sanrec.reporting.table_runs import needs_of, runs_of
from sanrec.reporting.tables import make_table
from sanrec.reporting.top_lists import read_top

SMALL = {
    "title": "Beyond",
    "kind": "beyond-accuracy",
    "data": "datasets",
    "metrics": ["HR@5", "NDCG@5"],
    "lists": ["Coverage@5", "Novelty@5", "Popularity@5", "Lift@5", "Gini@5"],
    "parts": {"head": 0.3, "tail": 0.3},
    "lengths": [{"most": 4}, {"least": 5}],
    "popularity": "Popularity",
    "rows": [
        {"label": "SASRec (ID)", "model": "sasrec", "inputs": "ID"},
        {"label": "CROSSAN (T+I)", "model": "crossan", "inputs": "TI"},
    ],
    "significance": {"ours": ["CROSSAN (T+I)"], "against": ["SASRec (ID)"]},
    "notes": ["A note."],
}
ITEMS = [f"item {n}" for n in range(12)]


def study(seeds=(0, 1)):
    mine = {"title": "Mine", "datasets": ["demo"], "seeds": list(seeds)}
    return load_config({"study": "mine", "studies": {"mine": mine}})


class World:
    """Users' items by split, and the scores that each system gives; writes what the workflow would leave of it."""

    def __init__(self, root, users, seed, several=False):
        self.root, self.rng = root, np.random.default_rng(seed)
        self.trained, self.validated, self.tested = [], [], []
        for _ in range(users):
            # the first items are taken often; the last one is a user's last, so that it never trains
            favour = np.array([*(1 / np.arange(1, 12)), 0.4])
            taken = self.rng.choice(12, self.rng.integers(4, 8), replace=False, p=favour / favour.sum()).tolist()
            taken.sort(key=lambda item: item == 11)
            last = 1 + (int(self.rng.integers(0, 2)) if several else 0)
            self.trained.append(taken[: -last - 1])
            self.validated.append(taken[-last - 1])
            self.tested.append(taken[-last:])
        self.several = several
        rows = [
            (f"u{n}", ITEMS[item], split)
            for n in range(users)
            for split, items in (
                ("train", self.trained[n]),
                ("validation", [self.validated[n]]),
                ("test", self.tested[n]),
            )
            for item in items
        ]
        path = root / artifacts.interactions("demo")
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=["user", "item", "split"]).to_parquet(path)
        self.catalogue = sorted({item for _, item, _ in rows})

    def shown(self, scores, user):
        """What may be shown to a user, best first, equals by their number."""
        masked = {ITEMS[item] for item in (*self.trained[user], self.validated[user])}
        may = [n for n, item in enumerate(ITEMS) if item in self.catalogue and item not in masked]
        return sorted(may, key=lambda item: (-scores[user, item], item))

    def rank(self, scores, user, item):
        """How many reach the item's score: no two targets here have the same."""
        return sum(scores[user, other] >= scores[user, item] for other in self.shown(scores, user))

    def write(self, folder, scores):
        """ranks.parquet and top.parquet of a system; its test metrics."""
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        pairs = [(user, item) for user, items in enumerate(self.tested) for item in items]
        ranks = [self.rank(scores, *pair) for pair in pairs]
        frame = pd.DataFrame({"user": [f"u{u}" for u, _ in pairs], "split": "test", "rank": np.array(ranks, np.int32)})
        if self.several:
            frame["target"] = [ITEMS[item] for _, item in pairs]
        frame.to_parquet(self.root / folder / "ranks.parquet")
        lists = [[ITEMS[item] for item in self.shown(scores, user)] for user in range(len(self.tested))]
        users = [f"u{n}" for n in range(len(lists))]
        top = pa.table({"user": users, "items": pa.array(lists, pa.list_(pa.string()))})
        pq.write_table(top, self.root / folder / "top.parquet")
        return metrics_from_ranks(np.array(ranks), [u for u, _ in pairs] if self.several else None)

    def scores(self):
        """Of every user and item, no two of a user the same."""
        return self.rng.permuted(np.tile(np.arange(12.0), (len(self.tested), 1)), axis=1)

    def write_all(self, config, spec):
        """Every run of the table, and popularity; their scores by folder."""
        found = {}
        for run in runs_of(config, spec):
            found[run.folder] = self.scores()
            (self.root / run.folder).mkdir(parents=True, exist_ok=True)
            record = {"seed": run.seed, "test": self.write(run.folder, found[run.folder])}
            (self.root / run.metrics).write_text(json.dumps(record))
        if spec.popularity:
            counts = Counter(item for items in self.trained for item in items)
            # not whole numbers, so that no two targets tie
            one = np.array([counts[item] - item / 100 for item in range(12)])
            folder = artifacts.popularity_folder("demo")
            found[folder] = np.tile(one, (len(self.tested), 1))
            record = {"test": self.write(folder, found[folder])}
            (self.root / artifacts.popularity("demo")).write_text(json.dumps(record))
        return found


def slow_lists(world, scores, k=5):
    """Coverage, novelty, popularity, lift and Gini of one system, by loops."""
    lists = [world.shown(scores, user)[:k] for user in range(len(world.tested))]
    has = Counter(item for items in world.trained for item in set(items))
    holding = sum(bool(items) for items in world.trained)
    coverage = len({item for some in lists for item in some}) / len(world.catalogue)
    novelty = np.mean([np.mean([-math.log2(max(has[item], 1) / holding) for item in some]) for some in lists])
    means = [np.mean([has[item] / holding for item in some]) for some in lists]
    both = [(m, items) for m, items in zip(means, world.trained, strict=True) if items]
    theirs = np.mean([np.mean([has[item] / holding for item in items]) for _, items in both])
    lift = (np.mean([m for m, _ in both]) - theirs) / theirs
    exposure = sorted(sum(ITEMS.index(item) in some for some in lists) for item in world.catalogue)
    n = len(exposure)
    gini = sum((2 * j - n - 1) * e for j, e in enumerate(exposure, 1)) / ((n - 1) * sum(exposure))
    return dict(zip(SMALL["lists"], (coverage, novelty, np.mean(means), lift, gini), strict=True))


def slow_accuracy(world, scores, inside, k=5):
    """HR and NDCG over the users with a target that `inside` takes, and how many they are."""
    hits, gains = [], []
    for user, items in enumerate(world.tested):
        ranks = [world.rank(scores, user, item) for item in items if inside(user, item)]
        if ranks:
            found = [rank for rank in ranks if rank <= k]
            ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(ranks), k) + 1))
            hits.append(bool(found))
            gains.append(sum(1 / math.log2(rank + 1) for rank in found) / ideal)
    return (len(hits), np.mean(hits), np.mean(gains)) if hits else (0, None, None)


def slow_part(world, item):
    counts = Counter(item for items in world.trained for item in items)
    more = sum(other for other in counts.values() if other > counts[item])
    total = sum(counts.values())
    if not counts[item]:
        return "cold"
    return "head" if more < 0.3 * total else "tail" if more >= 0.7 * total else "mid"


def made(config, spec, root):
    make_table(config, spec, None, root / "results/beyond", root=root)
    return pd.read_csv(root / "results/beyond.csv").set_index("row")


@pytest.mark.parametrize("several", [False, True])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), users=st.integers(3, 9))
def test_every_figure_is_that_of_a_slow_version(tmp_path_factory, several, seed, users):
    root, config, spec = tmp_path_factory.mktemp("world"), study(), TableSpec(**SMALL)
    world = World(root, users, seed, several)
    scores = world.write_all(config, spec)
    cells = made(config, spec, root)
    groups = {"": lambda user, item: True}
    groups |= {p: lambda user, item, p=p: slow_part(world, item) == p for p in ("cold", "tail", "mid", "head")}
    groups |= {
        "history 0-4": lambda user, item: len(world.trained[user]) + 1 <= 4,
        "history 5+": lambda user, item: len(world.trained[user]) + 1 >= 5,
    }
    runs = {"Popularity": [artifacts.popularity_folder("demo")]}
    runs |= {"SASRec (ID)": [r.folder for r in runs_of(config, spec) if r.model == "sasrec"]}
    runs |= {"CROSSAN (T+I)": [r.folder for r in runs_of(config, spec) if r.model == "crossan"]}
    assert list(cells.index) == list(runs)
    for label, folders in runs.items():
        for name in SMALL["lists"]:
            expected = [slow_lists(world, scores[folder])[name] for folder in folders]
            assert cells.loc[label, f"Demo {name}"] == pytest.approx(np.mean(expected)), (label, name)
            if len(folders) > 1:
                assert cells.loc[label, f"Demo {name} sd"] == pytest.approx(np.std(expected, ddof=1))
        for group, inside in groups.items():
            found = [slow_accuracy(world, scores[folder], inside) for folder in folders]
            if group:
                assert cells.loc[label, f"Demo {group} users"] == found[0][0]
            for place, metric in enumerate(SMALL["metrics"], 1):
                cell = cells.loc[label, " ".join(filter(None, ["Demo", group, metric]))]
                if found[0][0]:
                    assert cell == pytest.approx(np.mean([one[place] for one in found])), (label, group, metric)
                else:
                    assert pd.isna(cell)


@pytest.fixture
def small(tmp_path):
    """A world of nine users with its runs; gives (config, spec, world, scores by folder)."""
    config, spec = study(), TableSpec(**SMALL)
    world = World(tmp_path, 9, 3)
    return config, spec, world, world.write_all(config, spec)


def test_people_see_each_part_by_itself_and_no_measure_of_lists_as_the_best(small, tmp_path):
    config, spec, *_ = small
    cells = made(config, spec, tmp_path)
    text = (tmp_path / "results/beyond.md").read_text(encoding="utf-8")
    parts = ["## Demo\n", "## Demo, by popularity of the test item\n", "## Demo, by length of the history\n"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    first, second, third = text[places[0] : places[1]], text[places[1] : places[2]], text[places[2] :]
    header = first.splitlines()[2]
    assert header.strip("| ").split(" | ") == [
        "Model",
        *(f"Demo {name}" for name in (*SMALL["metrics"], *SMALL["lists"])),
    ]
    assert "Demo cold HR@5" in second
    assert "Demo cold users" in second
    assert "Coverage" not in second
    assert "Demo history 5+ NDCG@5" in third.split("##")[1]
    rows = {line.split(" | ")[0].strip("| ").replace("\\", ""): line.split(" | ") for line in first.splitlines()[4:7]}
    assert "**" in rows[cells["Demo HR@5"].idxmax()][1]
    assert not any("**" in cell or "<u>" in cell for row in rows.values() for cell in row[3:])
    page = (tmp_path / "results/beyond.html").read_text(encoding="utf-8")
    for piece in ("Lists of recommendations", "<caption>Demo, by length of the history</caption>", "Test users"):
        assert piece in page


def test_below_stands_what_the_reader_must_know(small, tmp_path):
    config, spec, world, _ = small
    made(config, spec, tmp_path)
    text = (tmp_path / "results/beyond.md").read_text(encoding="utf-8").replace("\\", "")
    assert "Test split of Demo (9 users)" in text
    assert f"share of the catalogue (Demo {len(world.catalogue)} items)" in text
    assert "Mean ± standard deviation over seeds 0, 1." in text
    sizes = Counter(slow_part(world, ITEMS.index(item)) for item in world.catalogue)
    counts = Counter(item for items in world.trained for item in items)
    heads = [counts[n] for n in range(12) if ITEMS[n] in world.catalogue and slow_part(world, n) == "head"]
    assert f"head {sizes['head']} ({min(heads)} to {max(heads)})" in text
    assert f"cold {sizes['cold']}" in text
    assert "- A note." in text
    assert "several targets" not in text


def test_a_table_of_ones_own_names_its_data_sets_whatever_the_study(tmp_path):
    values = {k: v for k, v in SMALL.items() if k != "data"} | {"datasets": ["demo"]}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    config, spec = load_config({"study": "paper"}), load_table(path)
    assert {run.dataset for run in runs_of(config, spec)} == {"demo"}
    World(tmp_path, users=6, seed=3).write_all(config, spec)
    made(config, spec, tmp_path)
    text = (tmp_path / "results/beyond.md").read_text()
    assert "Study" not in text
    assert "- Test split of " in text


def test_groups_without_targets_are_dashes_and_a_note(small, tmp_path):
    config, *_ = small
    spec = TableSpec(**{**SMALL, "lengths": [{"least": 20}, {}]})
    cells = made(config, spec, tmp_path)
    assert (cells["Demo history 20+ users"] == 0).all()
    assert cells["Demo history 20+ HR@5"].isna().all()
    assert cells["Demo any history HR@5"].tolist() == cells["Demo HR@5"].tolist()
    text = (tmp_path / "results/beyond.md").read_text(encoding="utf-8")
    assert re.search(r"Demo has no test target in (\w+ or )*history 20\+: a dash there, not zero\.", text)


def test_systems_are_tested_in_each_group_and_popularity_is_not(small, tmp_path):
    cells = made(*small[:2], tmp_path)
    ours = cells.loc["CROSSAN (T+I)"]
    assert ours["Demo HR@5 against"] == "SASRec (ID)"
    assert 0 <= ours["Demo HR@5 p"] <= 1
    assert pd.isna(cells.loc["Popularity", "Demo HR@5 p"])
    assert not any(name.startswith("Demo Coverage@5 p") for name in cells.columns)


def test_a_table_without_popularity_needs_none_of_its_files(small, tmp_path):
    config, spec, *_ = small
    spec = spec.model_copy(update={"popularity": ""})
    assert not [path for path in needs_of(config, spec) if "/popularity/" in path]
    for path in (tmp_path / artifacts.popularity_folder("demo")).iterdir():
        path.unlink()
    assert list(made(config, spec, tmp_path).index) == ["SASRec (ID)", "CROSSAN (T+I)"]


def test_needs_are_ranks_lists_interactions_and_popularity():
    needs = needs_of(study(), TableSpec(**SMALL))
    assert len([path for path in needs if path.endswith("ranks.parquet")]) == 2 * 2 + 1
    assert len([path for path in needs if path.endswith("top.parquet")]) == 2 * 2 + 1
    assert {"results/demo/interactions.parquet", "results/demo/popularity.json"} <= set(needs)


# -- what does not fit -------------------------------------------------------------------------------------------------


def rewrite(path, change):
    frame = pd.read_parquet(path)
    change(frame).to_parquet(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[::-1], "users are not those of the ranks"),
        (lambda f: f.iloc[1:], r"users are not those of the ranks beside it \(8 and 9\)"),
        (lambda f: f.rename(columns={"items": "item"}), "cannot be read as lists"),
        (lambda f: f.assign(items=1), "cannot be read as lists"),
        (lambda f: f.assign(items=[["item 99"]] * 9), "item 'item 99' is none of the data set's"),
        (lambda f: f.assign(items=f["items"].map(lambda some: some[::-1][:1])), "not of the same training"),
    ],
)
def test_lists_that_do_not_fit_make_no_table(small, tmp_path, change, message):
    config, spec, world, scores = small
    folder = runs_of(config, spec)[0].folder
    # every target at the first place, so that no other list agrees with the ranks
    for user, (target,) in enumerate(world.tested):
        scores[folder][user, target] = 100
    world.write(folder, scores[folder])
    record = json.loads((tmp_path / folder / "metrics.json").read_text())
    record["test"] = world.write(folder, scores[folder])
    (tmp_path / folder / "metrics.json").write_text(json.dumps(record))
    made(config, spec, tmp_path)
    rewrite(tmp_path / folder / "top.parquet", change)
    with pytest.raises(DataError, match=message) as caught:
        made(config, spec, tmp_path)
    assert folder in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["popularity.json", "popularity/ranks.parquet", "popularity/top.parquet", "interactions.parquet"],
)
def test_what_is_missing_is_named_with_what_makes_it(small, tmp_path, path):
    config, spec, *_ = small
    (tmp_path / "results/demo" / path).unlink()
    with pytest.raises(DataError, match=rf"results/demo/{path}: no such file.*snakemake results/demo/.* --cores"):
        made(config, spec, tmp_path)


def test_lists_of_unequal_length_are_filled_up(tmp_path):
    lists = pa.array([["b", "a"], [], ["c"]], pa.list_(pa.string()))
    pq.write_table(pa.table({"user": ["x", "y", "z"], "items": lists}), tmp_path / "top.parquet")
    top = read_top(tmp_path, pd.Index(["x", "y", "z"]), pd.Index(["a", "b", "c"]))
    assert top.tolist() == [[1, 0], [-1, -1], [2, -1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lists": []}, "has 'data', 'lists', 'parts', 'lengths', 'metrics' and 'rows'"),
        ({"parts": None}, "has 'data', 'lists', 'parts', 'lengths', 'metrics' and 'rows'"),
        ({"parts": {"head": 0.7, "tail": 0.4}}, "add up to more than 1"),
        ({"parts": {"head": 0, "tail": 0.4}}, "parts.head"),
        ({"lists": ["Coverage@11"]}, "lists.0"),
        ({"lengths": [{"most": 2}, {"least": 0, "most": 2}]}, "same bounds: history 0-2, history 0-2"),
        ({"groups": [{"most": 2}]}, "'groups' are of tables of kind cold-start"),
        ({"popularity": "SASRec (ID)"}, r"label 'SASRec \(ID\)' stands 2 times"),
        ({"paper": "crossan"}, "no paper's"),
        ({"kind": "cold-start", "groups": [{}]}, "'lists' are of tables of kind beyond-accuracy"),
    ],
)
def test_a_malformed_table_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TableSpec(**{**SMALL, **change})


# -- the figure --------------------------------------------------------------------------------------------------------


@pytest.fixture
def figure(small, tmp_path):
    path = tmp_path / "beyond.yaml"
    path.write_text(json.dumps(SMALL))
    return BeyondSpec(
        title="Beyond, drawn", paper="crossan", kind="beyond-accuracy", table=str(path), metric="HR@5",
        lists=["Coverage@5", "Lift@5"],
    )  # fmt: skip


def test_the_figures_numbers_are_the_tables(small, figure, tmp_path):
    config, spec, *_ = small
    cells = made(config, spec, tmp_path)
    paths = make_figure(config, figure, tmp_path / "results/drawn", root=tmp_path)
    assert [path.suffix for path in paths] == [".svg", ".png", ".csv"]
    frame = pd.read_csv(paths[2], keep_default_na=False, na_values={"value": [""]})
    assert set(frame["measure"]) == {"HR@5", "Coverage@5", "Lift@5"}
    means = frame.groupby(["row", "group", "measure"])["value"].mean()
    for (row, group, name), value in means.items():
        assert value == pytest.approx(cells.loc[row, " ".join(filter(None, ["Demo", group, name]))])
    seeds = frame[frame["measure"] == "Lift@5"].groupby("row")["seed"].apply(list).to_dict()
    assert seeds == {"Popularity": [""], "SASRec (ID)": ["0", "1"], "CROSSAN (T+I)": ["0", "1"]}


def test_what_is_drawn_is_the_mean_with_its_deviation(small, figure, tmp_path, nothing_overlaps):
    config, *_ = small
    frame = gather(config, figure, tmp_path)
    with styled():
        page = draw(config, figure, frame)
        page.draw_without_rendering()
        nothing_overlaps(page)
    by_part, by_length, coverage, lift = page.axes
    users = frame.groupby("group")["users"].first()
    lengths = [label.get_text() for label in by_length.get_xticklabels()]
    assert lengths == [f"{name}\n{users[f'history {name}']}" for name in ("0-4", "5+")]
    parts = [part for part in ("cold", "tail", "mid", "head") if part in users]
    assert [label.get_text() for label in by_part.get_xticklabels()] == [f"{part}\n{users[part]}" for part in parts]
    rows = ["Popularity", "SASRec (ID)", "CROSSAN (T+I)"]
    assert [text.get_text() for text in page.legends[0].get_texts()] == rows
    means = frame[frame["measure"] == "HR@5"].groupby(["row", "group", "seed"], dropna=False)["value"].mean()
    means = means.groupby(["row", "group"]).agg(["mean", "std"]).fillna(0)
    for axes, groups in ((by_part, parts), (by_length, ["history 0-4", "history 5+"])):
        low, high = axes.get_ylim()
        for container, row in zip(axes.containers, rows, strict=True):
            own = means.loc[row].loc[groups]
            assert container.lines[0].get_ydata().tolist() == pytest.approx(own["mean"].tolist())
            assert low < (own["mean"] - own["std"]).min()
            assert high > (own["mean"] + own["std"]).max()
    for axes, listed in ((coverage, "Coverage@5"), (lift, "Lift@5")):
        assert axes.get_xlabel().startswith(f"{listed}: ")
        for container, row in zip(axes.containers, rows, strict=True):
            own = frame[(frame["row"] == row) & (frame["group"] == "")].groupby("measure")["value"].mean()
            x, y = container.lines[0].get_data()
            assert (x[0], y[0]) == (pytest.approx(own[listed]), pytest.approx(own["HR@5"]))
            assert container.has_xerr == container.has_yerr == (row != "Popularity")
    below = page.texts[1].get_text()
    assert "mean over seeds 0, 1" in below.replace("\n", " ")


def test_the_figure_needs_what_its_table_needs(figure):
    assert figure_needs(study(), figure) == needs_of(study(), TableSpec(**SMALL))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "MRR@5"}, "unknown metric 'MRR@5'"),
        ({"lists": ("Gini@10",)}, "unknown measure 'Gini@10'.*did you mean 'Gini@5'"),
        ({"paper": "iisan-versa"}, "is to have 'data: datasets'"),
    ],
)
def test_a_figure_that_does_not_fit_its_table_is_refused(figure, change, message):
    with pytest.raises(ConfigError, match=message):
        figure_needs(study(), figure.model_copy(update=change))


def test_the_repositorys_table_and_figure_fit_each_other_and_the_cold_start_table(repository):
    config = load_config()
    table = load_table(repository / "workflow/tables/beyond-accuracy.yaml")
    figure = load_figure(repository / "workflow/figures/beyond-accuracy-figure.yaml")
    assert set(figure_needs(config, figure)) <= set(needs_of(config, table))
    cold = load_table(repository / "workflow/tables/cold-start.yaml")
    assert {run.folder for run in runs_of(config, table)} <= {run.folder for run in runs_of(config, cold)}

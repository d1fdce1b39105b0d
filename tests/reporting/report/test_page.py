"""The report's page: what stands in it, and that nothing of what it shows can do anything to it."""

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml

from sanrec import cli
from sanrec.errors import DataError
from sanrec.load import load_config
from sanrec.reporting.report import texts
from sanrec.reporting.report.build import write_report
from sanrec.reporting.report.runs import read_row
from sanrec.reporting.report.tables import MARKS, MOST_ROWS, read_numbers, read_page
from tests.reporting.report.folder import HOSTILE, ROOT, Results


class Elements(HTMLParser):
    """Every element with its attributes, and the text that stands in it itself."""

    VOID = ("meta", "img", "input", "wbr")

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(len(self.found))
        self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag):
        assert self.found[self.open.pop()][0] == tag  # what is opened is closed, in order

    def handle_data(self, data):
        if self.open:
            tag, attributes, text = self.found[self.open[-1]]
            self.found[self.open[-1]] = (tag, attributes, text + data)

    def all(self, tag, **attributes):
        of = [(found, text) for name, found, text in self.found if name == tag]
        return [(found, text) for found, text in of if attributes.items() <= found.items()]


def test_an_empty_folder_says_that_nothing_was_made_and_how(results):
    page = results.render()
    assert "Nothing was made yet" in page
    assert "snakemake results/table3.csv --cores" in page
    elements = Elements(page)
    assert not elements.all("nav")
    assert not elements.all("form")
    assert not elements.all("table")


def test_the_page_is_whole_and_its_ids_and_references_are_right(full):
    elements = Elements(full.render())
    assert elements.open == []
    ids = Counter(attributes["id"] for _, attributes, _ in elements.found if "id" in attributes)
    assert max(ids.values()) == 1
    named = [a[key] for _, a, _ in elements.found for key in ("aria-labelledby", "for") if key in a]
    links = [attributes["href"] for attributes, _ in elements.all("a")]
    assert all(link.startswith("#") for link in links)
    assert {*named, *(link[1:] for link in links)} <= set(ids)
    levels = [int(tag[1]) for tag, *_ in elements.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(elements.all("caption")) == len(elements.all("table"))
    assert all(attributes["alt"] for attributes, _ in elements.all("img"))


def test_nothing_of_the_data_becomes_markup_and_nothing_is_fetched(full):
    page = full.render()
    elements = Elements(page)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert [attributes.get("type") for attributes, _ in elements.all("script")] == ["application/json", None]
    for _, attributes, _ in elements.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert attributes.get("src", "data:").startswith("data:image/svg+xml;base64,") or "src" not in attributes
        assert not {"srcset", "action", "background", "poster", "data"} & set(attributes)
    assert not elements.all("link")
    assert "@import" not in page
    assert "url(" not in page


def test_the_policy_names_this_very_script_and_style(full):
    elements = Elements(full.render())
    (policy,) = [a["content"] for a, _ in elements.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        text = elements.all(tag)[-1][1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_tables_have_the_papers_figures_beside_and_differences_coloured(full):
    elements = Elements(full.render())
    cells = [(text, attributes.get("class")) for attributes, text in elements.all("td")]
    assert ("0.5000", "best") in cells
    assert ("0.4000", "best") in cells  # the paper's own best
    assert ("+0.1000", "higher-2") in cells  # .1 of .4 is 25%
    assert ("-0.0500", "lower-2") in cells
    assert ("+22.50 points", "higher-2") in cells
    assert len(elements.all("th", scope="colgroup")) == 4  # of two tables: measured here, and its data set
    assert {"Measured here", "Demo"} <= {text for _, text in elements.all("span")}
    assert ("Ours", {"scope": "row"}) in [(text, attributes) for attributes, text in elements.all("th")]
    assert "A line below it." in [text for _, text in elements.all("li")]


def test_cards_stand_in_natural_order_each_paper_by_itself(full):
    full.table("mine", title="My own")
    full.tables["mine"] = full.tables["mine"].model_copy(update={"paper": None, "title": "My own"})
    headings = [text for tag, _, text in Elements(full.render()).found if tag in ("h2", "h3")]
    assert headings[:6] == [
        "CROSSAN ", "CROSSAN, Table 3: a small one", f"CROSSAN, Table 10 {HOSTILE}", "CROSSAN, Figure 3: widths",
        "Beyond the papers", "My own",
    ]  # fmt: skip


def test_what_is_declared_and_not_there_is_named(full):
    texts_of = [text for _, text in Elements(full.render()).all("code")]
    assert "snakemake results/mine.csv --cores" in texts_of
    assert "snakemake results/figure10.svg --cores" in texts_of
    assert "snakemake results/table3.csv --cores" not in texts_of


def test_a_figure_is_its_svg_with_its_numbers_below(full):
    elements = Elements(full.render())
    ((image, _),) = elements.all("img")
    svg = base64.b64decode(image["src"].partition(",")[2])
    assert svg == (full.root / "results/figure3.svg").read_bytes()
    assert image["alt"].startswith("CROSSAN, Figure 3: widths")
    assert "0.123457" in [text for _, text in elements.all("td")]


def test_many_numbers_of_a_figure_stay_in_their_file(full, results):
    full.figure(rows=MOST_ROWS + 1)
    page = full.render()
    assert "Numbers of the figure" not in page
    assert "results/figure3.csv" in page


def test_runs_have_what_was_run_and_what_it_took(full):
    elements = Elements(full.render())
    rows = [text for _, text in elements.all("summary")]
    assert rows[2:5] == [  # after the contents and the figure's numbers
        "1: demo · crossan · TI · default · seed 0", "2: demo · iisan · TI · default · seed 2",
        "3: demo · iisan · TI · default · seed 10",
    ]  # fmt: skip
    cells = [text for _, text in elements.all("td")]
    assert {"0.2000", "0.5 s", "2.5 s", "600 MiB", "5.0 GiB", "24,733,200"} <= set(cells)
    facts = [text for _, text in elements.all("dd")]
    assert "adapter_width=32, cached=true, learning_rate=0.001" in facts
    assert "A processor; versions 1" in facts
    assert "python 3.11.7, sanrec 0.1.0, torch 2.13.0" in cells


def test_a_run_of_another_version_says_so(results):
    results.run(step_version=0)
    assert "Made by version 0 of the training step" in results.render()


def curves(page):
    return json.loads(re.search(r'id="curve-data">(.*?)</script>', page, re.S)[1])


def test_learning_curves_are_short_numbers_with_gaps_for_what_is_none(full):
    first = curves(full.render())[0]
    assert first == {"best": 2, "curves": [["loss", [3.142, None, 1.0]], ["HR@10", [0.05, 0.1, 0.09]],
                                           ["NDCG@10", [0.02, 0.04, 0.03]]]}  # fmt: skip


def test_a_run_without_history_has_no_curves(results):
    folder = results.run()
    (results.root / "results" / folder / "history.csv").unlink()
    page = results.render()
    assert curves(page) == [{"best": 2, "curves": []}]
    assert "There is no <code>history.csv</code>" in page


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("metrics.json", "{", "not valid JSON"),
        ("metrics.json", "[]", "expected keys and values"),
        ("history.csv", "epoch,loss\n1,2\n", "no epochs with their 'seconds'"),
        ("history.csv", "epoch,seconds\n1,x\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_shown(full, name, text, why):
    folder = full.run(model="lora")
    full.write(f"{folder}/{name}", text)
    with pytest.raises(DataError, match=why):
        read_row(f"results/{folder}", full.root)
    page = full.render()
    assert "Files that cannot be read" in page
    assert f"{folder}/{name}" in page
    assert len(curves(page)) == 3


def test_metrics_that_lack_what_a_run_writes_are_named(results):
    folder = results.run()
    path = results.root / "results" / folder / "metrics.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "machine"}))
    with pytest.raises(DataError, match=r"metrics\.json: lacks 'machine'"):
        read_row(f"results/{folder}", results.root)


@pytest.mark.parametrize("text", ["", "no page", "<table><tr><td>1</td></tr></table>"])
def test_a_page_that_is_no_table_is_named(full, text):
    path = full.write("table3.html", text)
    with pytest.raises(DataError, match="holds no whole table"):
        read_page(path)
    assert "table3.html: holds no whole table" in full.render()


def test_a_tables_page_gives_its_cells_and_marks_back(full):
    page = read_page(full.root / "results/table3.html")
    (grid,) = page.grids
    assert page.title == "CROSSAN, Table 3: a small one"
    assert [cell.text for cell in grid.head[-1]] == ["Model", "HR@10", "TT", "HR@10", "HR@10"]
    assert [(cell.text, cell.columns) for cell in grid.head[0]] == [
        ("", 1), ("Measured here", 2), ("Paper", 1), ("Difference", 1)
    ]  # fmt: skip
    assert [[cell.text for cell in row] for row in grid.body][1] == ["Other", "0.2000", "999.5000", "0.2500", "-0.0500"]
    assert {cell.mark for row in grid.body for cell in row} <= {"", *MARKS}


def test_a_csv_of_nothing_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match=r"a\.csv: is empty"):
        read_numbers(tmp_path / "a.csv")


def test_missing_media_are_counted_by_channel_and_reason(full):
    pd.DataFrame({"item": range(40)}).to_parquet(full.root / "results/demo/items.parquet")
    page = full.render()
    elements = Elements(page)
    rows = re.findall(r"<th scope=\"row\">cover</th>(.*?)</tr>", page)
    assert [re.sub("<[^>]+>", "|", row) for row in rows] == ["|no file||2||5.00%|"]
    assert HOSTILE in [text for _, text in elements.all("th")]
    assert "of 40 items" in page


def test_a_corpus_without_its_list_says_how_to_make_it(full):
    full.write("other/items.parquet", "")
    assert "snakemake results/other/media-report.csv --cores" in full.render()


def test_other_jobs_have_their_time_and_memory(full):
    full.step("prepare/demo.items", "NA", "-")
    full.step("train/demo/crossan/TI/default/seed=0")  # runs have their own
    page = full.render()
    assert '<td class="text">demo/cover/vit</td><td data-value="9.38">9.4 s</td>' in page
    assert '<th scope="row">prepare</th><td class="text">demo.items</td><td>–</td><td>–</td>' in page
    assert '<th scope="row">train</th>' not in page


def test_the_same_files_give_the_same_page(full):
    assert full.render() == full.render()


def test_the_page_stays_small_with_many_runs(results):
    epochs = "".join(f"{n},{10 / n},1.23456789,{0.1234567 / n},{0.0123456 / n}\n" for n in range(1, 51))
    for seed in range(300):
        folder = results.run(seed=seed)
        results.write(f"{folder}/history.csv", "epoch,loss,seconds,HR@10,NDCG@10\n" + epochs)
    page = results.render()
    assert len(curves(page)) == 300
    assert len(page) < 1_000_000  # 300 runs of 50 epochs


def test_the_metric_that_chose_the_best_epoch_is_shown_where_it_is_another(results):
    results.config = load_config({"datasets": {"demo": {"watched_metric": "Recall@20"}}})
    several = {f"{name}@{k}": 0.3 for name in ("HR", "NDCG", "MRR", "Recall") for k in (5, 10, 20)} | {"users": 10}
    several["Recall@20"] = 0.1234
    folder = results.run(test=several, validation=several)
    rows = "".join(f"{n},1,0.5,0.3,0.2,0.{n}\n" for n in (1, 2))
    results.write(f"{folder}/history.csv", f"epoch,loss,seconds,HR@10,NDCG@10,Recall@20\n{rows}")
    results.run(dataset="demo-half")
    page = results.render()
    assert [[name for name, _ in run["curves"]] for run in curves(page)] == [
        ["loss", "HR@10", "NDCG@10"],  # of demo-half, which stands first
        ["loss", "HR@10", "NDCG@10", "Recall@20"],
    ]
    assert curves(page)[1]["curves"][-1][1] == [0.1, 0.2]
    assert page.count('<th scope="col">Test Recall@20</th>') == 1
    assert "0.1234" in page
    assert "best Recall@20 in epoch 2 of 3" in page
    assert "best HR@10 in epoch 2 of 3" in page
    assert "Recall" not in Results(results.root / "other").render()


def test_the_command_shows_tables_of_ones_own_too(results, monkeypatch):
    monkeypatch.chdir(results.root)
    monkeypatch.delenv("SANREC_CONFIG", raising=False)
    Path("config.yaml").write_text("tables: [tables/*.yaml]\n")
    Path("tables").mkdir()
    values = {"title": "Mine", "kind": "statistics", "datasets": ["demo"], "statistics": {"Users": "users"}}
    Path("tables/shop.yaml").write_text(yaml.safe_dump(values))
    results.table("shop", title="Mine: a small one")
    folders = [str(ROOT / "workflow" / kind) for kind in ("tables", "figures")]
    assert cli.main(["report", *folders, "results/report.html"]) == 0
    page = Path("results/report.html").read_text(encoding="utf-8")
    elements = Elements(page)
    assert [text for _, text in elements.all("h3")] == ["Mine: a small one"]
    assert next(text for _, text in elements.all("h2")) == "Beyond the papers"
    assert "results/shop.csv" not in [text for _, text in elements.all("code")]  # as one that is not made yet


def test_it_is_written_whole(full):
    write_report(full.config, full.tables, full.figures, full.root / "results/report.html", full.root)
    assert (full.root / "results/report.html").read_text(encoding="utf-8") == full.render()
    assert not list((full.root / "results").glob(".*"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.394, "0.39 s"),
        (9.96, "10.0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (725, "12 min 5 s"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations(seconds, text):
    assert texts.duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(None, "–"), (600 * 2**20, "600 MiB"), (1.25 * 2**30, "1.2 GiB")])
def test_memory(count, text):
    assert texts.memory(count) == text

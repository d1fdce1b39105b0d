"""Where estimates come from: this folder's benchmark files, then measurements written down, then nothing."""

import pytest
import yaml

from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.workflow.jobs import Job
from sanrec.workflow.rates import FILE, HERE, Estimates, load_rates
from tests.docs.test_paper_page import ITEMS

CPU = {"device": "cpu"}


def job(rule="train", path="", needed=True, benchmark=None, **wildcards):
    if rule == "train":
        parts = {"dataset": "demo", "model": "crossan", "inputs": "TIVA", "variant": "default", "seed": "0"}
        wildcards = parts | wildcards
        w = wildcards
        path = f"results/{w['dataset']}/runs/{w['model']}/{w['inputs']}/{w['variant']}/seed={w['seed']}/metrics.json"
    return Job(rule, (path,), (), (), benchmark, wildcards, needed, "", 1, 10, 1000)


def estimate(one, *others, config=None):
    return Estimates(load_config(config or CPU), [one, *others]).of(one)


def bench(folder, name, seconds):
    path = folder / name
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t500\n")
    return str(path)


def test_every_figure_says_where_it_is_from_and_on_what():
    rates = load_rates()
    measured = [*rates.epochs, *rates.jobs]
    assert {one.machine for one in measured} == set(rates.machines)
    counted = [*rates.items.values(), *rates.weights.values()]
    assert {one.source for one in (*measured, *counted)} == set(rates.sources)


def test_items_of_corpora_are_those_that_the_docs_count_with():
    assert {name: one.items for name, one in load_rates().items.items()} == ITEMS


def test_the_papers_figures_are_as_the_reference_has_them():
    import csv

    with (FILE.parents[3] / "workflow/reference/table4.csv").open() as file:
        printed = {(row["row"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}
    names = {"full": "Full Finetuning (T+I)", "adapter": "Adapter(T+I)", "lora": "LoRA(T+I)"}
    names |= {"iisan-e": "IISAN-E_best (T+I+V+A)", "crossan": "CROSSAN (T+I+V+A)"}
    ours = [one for one in load_rates().epochs if one.machine == "crossan"]
    assert len(ours) == 5
    for one in ours:
        assert (one.seconds, one.peak / 1e6) == (printed[names[one.model], "TT"], printed[names[one.model], "GM"])


def test_a_job_that_was_run_here_before_takes_as_long_again(tmp_path):
    found = estimate(job(benchmark=bench(tmp_path, "own", 7.5)))
    assert (found.seconds, found.source, found.alike, found.at_most) == (7.5, HERE, False, False)


def test_else_like_jobs_of_this_folder_are_asked(tmp_path):
    others = [job(seed=str(n), needed=False, benchmark=bench(tmp_path, f"b{n}", n)) for n in (10, 20, 90)]
    other_data = job(dataset="demo-half", needed=False, benchmark=bench(tmp_path, "h", 1))
    found = estimate(job(inputs="TI", benchmark="not/there.tsv"), *others, other_data)
    assert (found.seconds, found.source, found.alike) == (20, HERE, True)


def test_else_a_whole_job_that_was_measured_and_written_down():
    found = estimate(job())
    wanted = {"dataset": "demo", "model": "crossan", "inputs": "TIVA"}
    [written] = [one for one in load_rates().jobs if one.wildcards == wanted]
    assert (found.seconds, found.alike, found.at_most) == (written.seconds, False, False)
    other = estimate(job(variant="adapter_width=64"))
    assert other.alike


def test_else_an_epoch_times_all_that_are_allowed():
    on_gpu = CPU | {"device": "cuda"}
    found = estimate(job(dataset="microlens-100k"), config=on_gpu)
    assert (found.seconds, found.at_most, found.gpu, found.alike) == (144 * 100, True, True, False)
    assert "CROSSAN, Table 4" in found.source
    assert "as printed" in found.source
    on_processor = estimate(job(dataset="microlens-100k"))
    assert (on_processor.seconds, on_processor.gpu) == (849 * 100, False)


def test_a_search_is_as_many_runs_as_it_has_trials():
    search = job("tune", "results/demo/tuning/crossan/TIVA.yaml", dataset="demo", model="crossan", of="TIVA")
    run, found = estimate(job()), estimate(search)
    assert found.at_most
    assert found.seconds == 3 * run.seconds  # the demo's number of trials


@pytest.mark.parametrize(
    "unmeasured",
    [
        job(dataset="microlens-50k"),
        job("hidden", "x", corpus="microlens", channel="video", backbone="videomae-base"),
        job("table", "results/table3.csv", table="table3"),
        job("own_rule", "x"),
    ],
)
def test_what_nobody_has_measured_is_unknown(unmeasured):
    assert estimate(unmeasured) is None


def test_a_malformed_file_is_named(tmp_path):
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump({"machine": {}}))
    with pytest.raises(ConfigError, match=r"rates.yaml: .*machine"):
        load_rates(path)

"""What the report shows is what is on disk, and its digest tells when that is something else."""

import os
import subprocess
import sys

from sanrec.reporting.report.found import digest, find, newest


def found(results):
    return find(results.tables, results.figures, results.root)


def test_what_is_there_is_found_in_the_order_people_expect(full):
    here = found(full)
    assert here.tables == ("table3", "table10")
    assert here.figures == ("figure3",)
    assert set(here.absent) == {"results/mine.csv", "results/figure10.svg"}
    assert [path.rpartition("/")[2] for path in here.runs] == ["seed=0", "seed=2", "seed=10"]
    assert here.media == ("results/demo/media-report.csv",)
    assert here.steps == ("results/benchmarks/hidden/demo/cover/vit.tsv",)


def test_an_empty_folder_has_nothing(results):
    here = found(results)
    assert (here.tables, here.figures, here.runs, here.media, here.corpora, here.steps) == ((),) * 6
    assert newest(here, results.root) is None


def test_the_digest_changes_with_what_is_shown_and_with_nothing_else(full):
    seen = [digest(found(full), full.root)]

    def changed():
        seen.append(digest(found(full), full.root))
        return seen[-1] != seen[-2]

    assert not changed()
    full.write("demo/raw.json", "{}")
    full.write("report.html", "an earlier one")
    full.write("logs/train/x.log", "a line")
    assert not changed()
    full.run(model="lora")
    assert changed()
    path = full.table()
    os.utime(path, ns=(1, 1))
    assert changed()
    full.figure("figure10")
    assert changed()
    full.media("other")
    assert changed()
    path.unlink()
    assert changed()
    assert len(set(seen)) == 6


def test_a_run_that_is_not_finished_is_not_shown(results):
    results.write("demo/runs/crossan/TI/default/seed=0/training-state.safetensors", "")
    assert found(results).runs == ()


def test_the_newest_file_dates_the_page(full):
    os.utime(full.root / "results/figure3.svg", (4e9, 4e9))
    assert newest(found(full), full.root) == 4e9
    assert "2096-10-02" in full.render()


def test_the_snakefile_reads_it_without_what_takes_long():
    code = "import sys, sanrec.reporting.report.found; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"pandas", "jinja2", "torch"} & set(done.stdout.split())

"""The commands: whom to recommend to, in which format, into which file; and their errors."""

import json
from pathlib import Path

import pytest
import yaml

from sanrec import artifacts, cli
from sanrec.training.run import train_run
from tests.training.conftest import CONFIG


@pytest.fixture
def sanrec(shop, tmp_path, capsys):
    """Run a subcommand on a trained run of the shop: its status, and what it printed and complained of."""
    run = artifacts.run(shop.config, "shop", "crossan", "TI", {"max_epochs": 1})
    train_run(shop.config, run)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))

    def call(command, *arguments, path=run.folder):
        status = cli.main(["--config", str(config), command, path, *map(str, arguments)])
        return status, *capsys.readouterr()

    call.run = run
    return call


def test_a_table_by_default_and_metrics_json_names_the_run_too(sanrec):
    status, out, _ = sanrec("recommend", "--user", "u1")
    assert status == 0
    assert out.startswith("results/shop/runs/crossan/TI/max_epochs=1/seed=0\n\nuser u1 of shop\n")
    assert sum(line.split()[:1] == [str(n)] for n in range(1, 11) for line in out.replace("*", "").splitlines()) == 10
    assert sanrec("recommend", "--user", "u1", path=sanrec.run.metrics) == (0, out, "")


def test_several_users_and_ids_in_quotes(sanrec):
    status, out, _ = sanrec("recommend", "--user", 'u1, "u2"', "--format", "json", "--k", "3")
    people = json.loads(out)["people"]
    assert [person["user"] for person in people] == ["u1", "u2"]
    assert [len(person["recommended"]) for person in people] == [3, 3]


def test_a_history_and_files_whose_suffix_is_their_format(sanrec, tmp_path):
    for name in ("a.json", "sub/a.html", "a.txt"):
        status, out, _ = sanrec("recommend", "--history", "a1,a2", "--out", tmp_path / name)
        assert (status, out) == (0, "")
    assert json.loads((tmp_path / "a.json").read_text())["people"][0]["user"] is None
    assert (tmp_path / "sub/a.html").read_text().startswith("<!DOCTYPE html>")
    assert "someone unknown, by shop" in (tmp_path / "a.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --user ID of someone in the data set, or --history ITEM,… of someone unknown"),
        (["--user", "u1", "--history", "a1"], "give --user ID"),
        (["--user", "u1", "--k", "0"], "--k 0: expected a whole number from 1"),
        (["--user", "u1", "--k", "ten"], "--k ten: expected a whole number from 1"),
        (["--user", "u1", "--format", "htm"], "unknown format 'htm': did you mean 'html'?"),
        (["--history", "a1,,a2"], "--history 'a1,,a2': expected ids joined by commas"),
        (["--history", ""], "--history '': expected ids joined by commas"),
        (["--user", "v1"], "data set 'shop': no user 'v1': did you mean"),
    ],
)
def test_what_cannot_be_is_one_line(sanrec, arguments, message):
    status, out, error = sanrec("recommend", *arguments)
    assert (status, out) == (1, "")
    assert error.startswith(f"sanrec recommend: {message}")
    assert error.count("\n") == 1


def test_export_lists_what_it_wrote(sanrec, tmp_path):
    status, out, _ = sanrec("export", tmp_path / "served")
    assert status == 0
    names = {Path(line.split(": ")[0]).name for line in out.splitlines()}
    assert names == {path.name for path in (tmp_path / "served").iterdir()} - {"manifest.json"}

"""A folder of hand-made runs to make tables from."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.evaluation.metrics import metrics_from_ranks


@pytest.fixture
def repository() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture
def write_run(tmp_path) -> Callable[..., Path]:
    """Write the files of a run with these ranks (of the validation split all 1, if not given); gives its folder."""

    def write(
        run: Run, ranks: Sequence[int], users: Sequence[str] | None = None, validation: Sequence[int] | None = None
    ) -> Path:
        folder = tmp_path / run.folder
        folder.mkdir(parents=True, exist_ok=True)
        users = [f"u{n}" for n in range(len(ranks))] if users is None else list(users)
        validation = np.asarray([1] * len(ranks) if validation is None else validation, dtype=np.int32)
        frame = pd.DataFrame(
            {
                "user": users * 2,
                "split": ["validation"] * len(ranks) + ["test"] * len(ranks),
                "rank": np.concatenate([validation, np.asarray(ranks, dtype=np.int32)]),
            }
        )
        frame.to_parquet(tmp_path / run.ranks, index=False)
        record = {
            "seed": run.seed,
            "test": {**metrics_from_ranks(np.asarray(ranks)), "users": len(ranks)},
            "validation": {**metrics_from_ranks(validation), "users": len(ranks)},
        }
        (tmp_path / run.metrics).write_text(json.dumps(record))
        return folder

    return write


@pytest.fixture
def write_search(tmp_path) -> Callable[..., Path]:
    """Write what the search of a tuned run found; gives its path."""

    def write(run: Run, trials: int, value: float, best: Mapping[str, Any]) -> Path:
        record = {
            "model": run.model, "inputs": run.inputs_text, "given": run.given, "metric": "HR@10", "trials": trials,
            "value": value, "best_epoch": 1, "best": dict(best), "cut_short": 0, "diverged": 0,
        }  # fmt: skip
        path = tmp_path / run.search
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(record))
        return path

    return write


@pytest.fixture
def write_statistics(tmp_path) -> Callable[..., Path]:
    """Write a data set's statistics.json; gives its path."""

    def write(dataset: str, **values) -> Path:
        path = tmp_path / "results" / dataset / "statistics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
        return path

    return write


@pytest.fixture
def write_counts(tmp_path) -> Callable[..., None]:
    """Write the numbers of parameters of every backbone of a config, made up from its shape but for those given."""

    def write(config, **given) -> None:
        files: dict[Path, dict] = {}
        for name, record in config.backbones.items():
            made_up = 12 * record.blocks * record.width**2
            counted = {"parameters": made_up, "counted_from": "architecture", "why": ""} | given.get(name, {})
            path = tmp_path / artifacts.parameters(config, name)
            files.setdefault(path, {})[name] = {"blocks": record.blocks, "width": record.width, **counted}
        for path, counts in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"backbones": counts}))

    return write


@pytest.fixture
def nothing_overlaps() -> Callable[..., None]:
    """Check of a drawn page: texts, axes and their labels are on it, and none lies on another."""

    def check(page) -> None:
        boxes = [text.get_window_extent() for text in page.texts]
        boxes += [legend.get_window_extent() for legend in page.legends]
        for axes in page.axes:
            boxes.append(axes.get_window_extent())
            both = [(axes.xaxis, axes.get_xticklabels()), (axes.yaxis, axes.get_yticklabels())]
            labels = [label for axis, ticks in both for label in ticks if label.get_text() and _in_view(axis, label)]
            labels += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
            shown = [label for label in labels if label.get_text() and label.get_visible()]
            # of a slanted label the extent is far larger than its letters
            boxes += [label.get_window_extent() for label in shown if label.get_rotation() in (0, 90)]
            inside = [text.get_window_extent() for text in axes.texts]
            _apart(
                [*inside, *(label.get_window_extent() for label in shown if label in (axes.title, axes._left_title))]
            )
            for box in inside:
                assert page.bbox.x0 <= box.x0 < box.x1 <= page.bbox.x1
        for box in boxes:
            assert page.bbox.x0 <= box.x0 < box.x1 <= page.bbox.x1
            assert page.bbox.y0 <= box.y0 < box.y1 <= page.bbox.y1
        _apart(boxes)

    return check


def _apart(boxes) -> None:
    for one, other in itertools.combinations(boxes, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
        assert apart, (one, other)


def _in_view(axis, label) -> bool:
    low, high = sorted(axis.get_view_interval())
    return low <= label.get_position()[axis.axis_name == "y"] <= high and label.get_visible()

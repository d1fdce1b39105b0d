"""A folder of hand-made runs to make tables from."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
def write_statistics(tmp_path) -> Callable[..., Path]:
    """Write a data set's statistics.json; gives its path."""

    def write(dataset: str, **values) -> Path:
        path = tmp_path / "results" / dataset / "statistics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
        return path

    return write

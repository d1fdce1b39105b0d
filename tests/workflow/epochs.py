"""What of a training run is finished, seen from outside: by its state while it trains, by its history afterwards."""

import json
from pathlib import Path

import pandas as pd

from sanrec.training.run import STATE_FILE


def finished_epochs(run: Path) -> dict[str, float]:
    """The seconds that each epoch took: no two trainings of one take the same."""
    try:
        with (run / STATE_FILE).open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        epochs = json.loads(header["__metadata__"]["progress"])["epochs"]
        return {str(epoch["epoch"]): epoch["seconds"] for epoch in epochs}
    except FileNotFoundError:
        pass
    if not (run / "history.csv").is_file():
        return {}
    history = pd.read_csv(run / "history.csv", float_precision="round_trip")
    return dict(zip(history["epoch"].astype(str), history["seconds"], strict=True))

"""TensorBoard event files of a run, for whoever wants to watch it train: `tracking: tensorboard` in config.yaml.

They lie in the folder `tensorboard` beside the run's other files, are no output of it, and change none of its numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.errors import ConfigError
from sanrec.training.checkpoint import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
RATES = ("learning_rate", "adapter_learning_rate")  # settings; they stay the same from the first epoch to the last
NO_SCORE = ("epoch", "loss", "seconds")  # what an epoch's record holds beside validation metrics


class Tracker:
    """Writes a point per finished epoch; nothing where the config asks for no tracking.

    A resumed run goes on in the same folder: of the epochs that are trained a second time TensorBoard hides the first
    points. One that begins anew takes the events of an earlier training away.

    Raises:
        ConfigError: the library is asked for and not installed.
    """

    def __init__(self, config: Config, run: Run) -> None:
        self.run, self.folder = run, Path(run.folder, FOLDER)
        self.writer: SummaryWriter | None = None
        self.make = summary_writer() if config.tracking == "tensorboard" else None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.writer:
            self.writer.close()

    def after_epoch(self, progress: Progress) -> None:
        """Write the scalars of the last epoch: loss, validation metrics, learning rates, seconds and peak memory."""
        if not self.make:
            return
        last = progress.epochs[-1]
        epoch = int(last["epoch"])
        writer = self._open(epoch)
        rates = {name: getattr(self.run.settings, name) for name in RATES if name in self._settings()}
        scalars = {
            "loss/train": last["loss"],
            **{f"validation/{name}": value for name, value in last.items() if name not in NO_SCORE},
            **{f"learning rate/{name}": value for name, value in rates.items()},
            "cost/seconds per epoch": last["seconds"],
            "cost/peak memory in MiB": progress.peak_memory / 2**20,
        }
        for name, value in scalars.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()  # what a killed run has written is there when it goes on

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the settings as hyperparameters, with the best epoch's metrics of both splits."""
        if not self.make:
            return
        named = {"dataset": self.run.dataset, "model": self.run.model, "inputs": self.run.inputs_text}
        scores = {
            f"{split} {name}": value
            for split in ("validation", "test")
            for name, value in metrics[split].items()
            if name != "users"
        }
        described = named | {"variant": self.run.variant, "seed": self.run.seed} | self._settings()
        # run_name "." keeps them in this very folder, where they would else begin a run of their own
        self._open(metrics["epochs"] + 1).add_hparams(
            described, scores, run_name=".", global_step=metrics["best_epoch"]
        )

    def _settings(self) -> dict[str, Any]:
        return self.run.settings.model_dump(mode="json", include=artifacts.recorded_settings(self.run))

    def _open(self, epoch: int) -> "SummaryWriter":
        """The writer, for points of this epoch on."""
        if self.writer:
            return self.writer
        if epoch == 1:
            for left in self.folder.glob("events.out.tfevents.*"):
                left.unlink()
        self.writer = self.make(log_dir=str(self.folder), purge_step=epoch if epoch > 1 else None)
        if epoch == 1:
            lines = [f"| {name} | {artifacts.spell(value)} |" for name, value in self._settings().items()]
            self.writer.add_text(
                "settings", "\n".join([f"`{self.run.folder}`", "", "| setting | |", "|---|---|", *lines])
            )
        return self.writer


def summary_writer() -> "type[SummaryWriter]":
    """TensorBoard's writer. Raises ConfigError where the library is not installed, saying how it is had."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "config key 'tracking': tensorboard is not installed. Install it, in the repository's folder: "
            "pip install -c constraints.txt -e '.[tracking]'. Or set 'tracking: none'"
        ) from None
    return SummaryWriter

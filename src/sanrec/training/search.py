"""The search for a method's settings: Optuna over `spaces`, on the validation split alone.

Every method gets the same number of trials. The first has the values that the data set has for it; then come some at
random, and the rest from Optuna's tree-structured Parzen estimator. A trial that is worse than the median of the
others at its epoch is cut short. What a trial tries depends on the seed and on the trials before it, so a search that
was killed and went on ends as one that was not.
"""

import csv
import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.backbones.extract import chosen_device
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.data.split import Sequences
from sanrec.errors import ConfigError, DivergenceError, SanrecError
from sanrec.files import atomic, sha256, write_text
from sanrec.own import own_fingerprint
from sanrec.progress import bar
from sanrec.searches import with_found
from sanrec.spaces import Choice, Searched, described, first_values, space
from sanrec.training.checkpoint import Progress
from sanrec.training.machine import use_threads
from sanrec.training.run import prepare_training
from sanrec.versions import STEPS

DIGITS = 2  # of a value that is drawn: what is tried is what is printed, and a run's path stays short
ENDS = {"best_epoch", "epochs", "seconds"}  # what is noted of a trial beside its score

log = logging.getLogger(__name__)


def tune(config: Config, dataset: str, model: str, inputs: str, given: str = "default") -> dict[str, Any]:
    """Search, and write `artifacts.tuning(...)` with the csv of all trials beside it; the record written is given back.

    The trials are kept in a sqlite file beside both; one that is there from a killed search, or from one with fewer
    trials, is gone on with; of one that had more, the first count. `given` is a variant whose settings are not searched
    for. Raises ConfigError for a method without anything to search, SanrecError where no trial trains, and what a
    training raises for its inputs.
    """
    base = artifacts.run(config, dataset, model, inputs, given, config.tuning.seed)
    searched = space(model, given, base.spec)
    if base.search:
        raise ConfigError(f"variant '{given}' is itself searched for: write the settings that are given alone")
    if not searched:
        ranged = space(model, method=base.spec)
        why = f"the variant '{given}' gives them all" if ranged else "src/sanrec/spaces.py gives no ranges"
        raise ConfigError(f"no setting of '{model}' is left to search for: {why}")
    artifacts.require(artifacts.run_needs(config, base))
    use_threads(config.threads.train)
    out = Path(artifacts.tuning(dataset, model, inputs, given))
    sequences = load_sequences(artifacts.interactions(dataset))
    with alone(out):
        study = _open(config, base, out.with_suffix(".sqlite3"))
        with bar(total=config.trials, initial=len(counted(study)), unit="trial", desc="tuning") as shown:
            while (number := len(counted(study))) < config.trials:
                _try_one(config, base, sequences, study, number)
                shown.update()
        trials = counted(study)[: config.trials]  # an earlier search may have had more
        record = summary(config, base, trials)
        write_trials(out.with_suffix(".csv"), trials, list(searched))
        write_text(out, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))
    return record


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep a second search out of the same trials: it would take this one's for killed. Raises SanrecError for it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SanrecError(f"{out}: another process searches there; let it end, or stop it") from None
        yield


def search_record(config: Config, run: Run) -> dict[str, Any]:
    """What a search depends on, beside its input files and the number of trials."""
    searched, kept = space(run.model, run.variant, run.spec), artifacts.recorded_settings(run)
    return {
        "run": [run.dataset, run.model, run.inputs_text, run.variant],
        "metric": config.datasets[run.dataset].watched,
        "space": described(searched),
        "settings": run.settings.model_dump(mode="json", include=kept - searched.keys()),
        "search": config.tuning.model_dump(exclude={"trials"}),
        "threads": config.threads.train,
        "versions": [STEPS["train"], STEPS["tune"]],
    }


def _open(config: Config, base: Run, path: Path) -> Study:
    """The study of this very search in the sqlite file, made where it is not there."""
    needs = {need: sha256(need) for need in artifacts.run_needs(config, base)}
    own = [found] if (found := own_fingerprint(config, base)) else []
    text = json.dumps([search_record(config, base), needs, *own], sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    told = config.tuning
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=hashlib.sha256(text.encode()).hexdigest(),
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=told.startup, n_warmup_steps=told.warm_up),
    )
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):  # it was killed
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def counted(study: Study) -> list[FrozenTrial]:
    """The trials that are over: trained to their end, cut short, or run away; not those that were killed."""
    over = (TrialState.COMPLETE, TrialState.PRUNED)
    return [t for t in study.get_trials(deepcopy=False) if t.state in over or t.user_attrs.get("diverged")]


def _try_one(config: Config, base: Run, sequences: Sequences, study: Study, number: int) -> None:
    """One trial from drawing its values to telling the study how it went."""
    told = config.tuning
    study.sampler = optuna.samplers.TPESampler(seed=told.seed * 100_003 + number, n_startup_trials=told.startup)
    searched = space(base.model, base.variant, base.spec)
    asked = first_values(base.settings, searched) if number == 0 else searched
    if number == 0 and not study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        study.enqueue_trial(asked)
    trial = study.ask()
    values = {
        # a first value outside its range, as no regularisation at all, is tried too, though Optuna cannot learn from it
        name: drawn(trial, name, where) if name in asked else getattr(base.settings, name)
        for name, where in searched.items()
    }
    trial.set_user_attr("settings", values)
    run = replace(base, settings=with_found(base.settings, values))

    def report(progress: Progress) -> None:
        epoch = len(progress.epochs)
        trial.report(progress.best_score, epoch)
        ended = progress.best_epoch, epoch, round(sum(e["seconds"] for e in progress.epochs), 3)
        for name, value in zip(("best_epoch", "epochs", "seconds"), ended, strict=True):
            attributes[name] = value
        if trial.should_prune():
            raise optuna.TrialPruned

    attributes: dict[str, Any] = {}
    state, value = TrialState.COMPLETE, None
    try:
        training = prepare_training(config, run, sequences, chosen_device(config.device))
        value = training.fit(None, "", report).best_score
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except DivergenceError as error:
        log.info("trial %d: %s", number, error)
        state = TrialState.FAIL
        attributes["diverged"] = True
    for name, noted in attributes.items():
        trial.set_user_attr(name, noted)
    study.tell(trial, value, state=state)
    log.info("trial %d of %s: %s %s %s", number, base.system, values, state.name.lower(), value)


def drawn(trial: Trial, name: str, where: Searched) -> Any:
    """A setting's value for a trial, rounded so that it can be written as it is."""
    if isinstance(where, Choice):
        return trial.suggest_categorical(name, where.values)
    if where.whole:
        return trial.suggest_int(name, int(where.low), int(where.high))
    value = trial.suggest_float(name, where.low, where.high, log=where.log, step=where.step)
    return round(value, 6) if where.step else float(f"{value:.{DIGITS}g}")


def summary(config: Config, base: Run, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """What the yaml holds: the best values with the metric that they reached, and how they were searched for.

    Raises SanrecError where no trial trained to its end.
    """
    whole = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not whole:
        raise SanrecError(
            f"tuning of {base.system} on '{base.dataset}': none of {len(trials)} trials trained to its end; all ran "
            "away. Look at the data set's settings that are not searched for, such as batch_size"
        )
    best = max(whole, key=lambda trial: (trial.value, -trial.number))
    states = [trial.state for trial in trials]
    return {
        "dataset": base.dataset,
        "model": base.model,
        "inputs": base.inputs_text,
        "given": base.variant,
        "metric": config.datasets[base.dataset].watched,
        "value": best.value,
        "best_epoch": best.user_attrs["best_epoch"],
        "best": best.user_attrs["settings"],
        "trials": len(trials),
        "cut_short": states.count(TrialState.PRUNED),
        "diverged": states.count(TrialState.FAIL),
        **{key: value for key, value in search_record(config, base).items() if key not in ("run", "metric")},
        "optuna": optuna.__version__,
    }


def write_trials(path: Path, trials: Sequence[FrozenTrial], names: Sequence[str]) -> None:
    """One line per trial: its number, how it ended, the best score it reached, when, and its values."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        columns = ["trial", "state", "score", "best_epoch", "epochs", "seconds", *names]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({"trial": number, **_line(trial)} for number, trial in enumerate(trials))


def _line(trial: FrozenTrial) -> Mapping[str, Any]:
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "cut short", TrialState.FAIL: "diverged"}
    noted = {name: trial.user_attrs.get(name, "") for name in ENDS}
    score = max(trial.intermediate_values.values(), default="")
    return {"state": states[trial.state], "score": score, **noted, **trial.user_attrs["settings"]}

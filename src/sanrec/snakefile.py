"""What the Snakefile asks the package: the config, and each rule's inputs and parameters. Light: no torch, no pandas.

Rules hold no logic; what they need to know stands here, where tests reach it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sanrec import artifacts
from sanrec.captions.prompts import load_prompt
from sanrec.config import CAPTIONED, CHANNELS, Config
from sanrec.errors import ConfigError, unknown
from sanrec.files import write_text
from sanrec.hardware import machine_of
from sanrec.load import load_config
from sanrec.methods import METHODS
from sanrec.reporting import figure_kinds
from sanrec.reporting.backbone_specs import backbones_record, table_rows
from sanrec.reporting.cost_specs import CostFigure, measured_points
from sanrec.reporting.figure_base import Figure
from sanrec.reporting.figure_kinds import load_figure
from sanrec.reporting.specs import MAIN_DATA, TableSpec, load_table
from sanrec.reporting.table_runs import measured_runs, needs_of
from sanrec.spaces import described, space


def settle(values: Mapping[str, Any], folder: str = ".snakemake/sanrec") -> Config:
    """The config of Snakemake's `config`; and the environment of the jobs, which read that very config.

    It is written to a file named by its content, so that two workflows with different `--config` do not meet, and
    SANREC_CONFIG names it: a parameter of every rule would make all anew when any key changes. PYTHONPATH leads to
    this checkout's package also where a job runs in a conda environment that does not have it.
    """
    text = json.dumps(values, indent=2, sort_keys=True, default=str)
    path = f"{folder}/config-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    if not Path(path).exists():
        write_text(path, text + "\n")  # JSON is yaml
        Path(path).chmod(0o600)  # addresses of downloads may hold secrets
    source = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    os.environ["SANREC_CONFIG"] = path
    return load_config(values)


def demo_corpora(config: Config) -> list[str]:
    """The corpora that sanrec's generator makes."""
    return [name for name, corpus in config.corpora.items() if corpus.source == "demo"]


def demo_backbones(config: Config) -> list[str]:
    """The backbones that a rule of the workflow trains."""
    return [name for name, backbone in config.backbones.items() if backbone.source == "demo"]


def demo_captioners(config: Config) -> list[str]:
    """The captioners that a rule of the workflow trains."""
    return [name for name, captioner in config.captioners.items() if captioner.source == "demo"]


def raw(config: Config, corpus: str) -> str:
    """The manifest of a corpus' raw files."""
    config.find("corpus", corpus)
    return artifacts.raw(corpus)


def own_file(config: Config, corpus: str, name: str) -> list[str]:
    """A file of a corpus that lies in a folder of the user's: an edit to it makes anew what was read from it.

    Only where it is there when the workflow starts; if it is missing, the step itself has the better error. Files that
    the workflow makes or fetches itself are vouched for by raw.json.
    """
    record = config.find("corpus", corpus)
    path = Path(record.folder, name)
    return [str(path)] if record.source == "files" and not record.downloads and path.is_file() else []


def corpus_needs(config: Config, corpus: str) -> dict[str, str | list[str]]:
    """What `prepare-corpus` reads."""
    titles = config.find("corpus", corpus).titles
    return {"raw": raw(config, corpus), "titles": own_file(config, corpus, titles) if titles else []}


def dataset_needs(config: Config, dataset: str) -> dict[str, str | list[str]]:
    """What `prepare-dataset` reads."""
    found = config.find("dataset", dataset)
    pairs = own_file(config, found.corpus, found.pairs)
    return {"item_table": artifacts.items(found.corpus), "raw": raw(config, found.corpus), "pairs": pairs}


def media_listing(config: Config, corpus: str) -> str:
    """A digest of the names in the media folders of a corpus of the user's: files added or taken away are noticed."""
    record = config.find("corpus", corpus)
    if record.source != "files" or record.downloads:
        return ""
    digest = hashlib.sha256()
    for part in filter(None, (record.covers, record.videos, record.audios)):
        folder = Path(record.folder, part)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        digest.update(json.dumps([part, names]).encode())
    return digest.hexdigest()


def store_needs(config: Config, corpus: str, channel: str, backbone: str) -> dict[str, str | list[str]]:
    """What extraction (of hidden states or of model-ready inputs) reads, checked for sense.

    Ready-made features are read from their file, an input where it is there; else the step says what is missing.
    """
    config.find("corpus", corpus)
    if channel not in CHANNELS:
        raise unknown("channel", channel, CHANNELS)
    record = config.find("backbone", backbone)
    if record.modality != CHANNELS[channel]:
        reads, wanted = record.modality, CHANNELS[channel]
        raise ConfigError(f"backbone '{backbone}' reads {reads}, but channel '{channel}' is {wanted}")
    if record.source == "features":
        file = [record.checkpoint] if Path(record.checkpoint).is_file() else []
        return {"item_table": artifacts.items(corpus), "features": file}
    needs = {"item_table": artifacts.items(corpus), "checkpoint": artifacts.checkpoint(backbone)}
    return needs | ({"captions": artifacts.captions(corpus, CAPTIONED[channel])} if channel in CAPTIONED else {})


def caption_needs(config: Config, corpus: str, medium: str) -> dict[str, str]:
    """What captioning reads: the item table, and the checkpoint of the captioner that the corpus has for the medium."""
    captioner = config.find_captioner(corpus, medium)
    return {"item_table": artifacts.items(corpus), "checkpoint": artifacts.checkpoint(captioner)}


def caption_record(config: Config, corpus: str, medium: str) -> str:
    """What captions depend on beside that: the captioner's name and record, and the prompt's very words."""
    name = config.find_captioner(corpus, medium)
    record = config.captioners[name]
    told = record.model_dump(exclude={"license", "gated", "device_map", "prompts"})
    return json.dumps([name, told, load_prompt(record.prompts[medium]).digest])


def media_needs(config: Config, corpus: str) -> list[str]:
    """The manifests that a corpus' media report gathers: every channel with the backbones of data sets over it."""
    found = [
        artifacts.hidden(corpus, channel, backbone)
        for dataset in config.datasets.values()
        if dataset.corpus == corpus
        for channel, backbone in dataset.backbones.items()
        if not channel.endswith("caption") and _has_channel(config, corpus, channel)
    ]
    return list(dict.fromkeys(found))


def _has_channel(config: Config, corpus: str, channel: str) -> bool:
    record = config.find("corpus", corpus)
    sound = record.audios or record.videos
    folders = {"title": record.titles, "cover": record.covers, "video": record.videos, "audio": sound}
    return bool(folders.get(channel))


def raw_record(config: Config, corpus: str) -> str:
    """The part of a corpus' record that its raw files depend on; without addresses, which may hold secrets."""
    found = config.find("corpus", corpus)
    files = [(d.file, d.sha256, d.unpack) for d in found.downloads]
    still = found.source == "demo" and not (found.videos or found.audios)
    return json.dumps([found.source, found.folder, found.world, files, *(["still"] if still else [])])


def layout_record(config: Config, corpus: str) -> str:
    """The part of a corpus' record that its item table depends on."""
    record = config.find("corpus", corpus)
    keys = {"layout", "folder", "titles", "covers", "videos", "audios"}
    return record.model_dump_json(include=keys | ({"item_count"} if record.titles is None else set()))


def checkpoint_record(config: Config, backbone: str) -> str:
    """The part of a backbone's or captioner's record that its checkpoint depends on. Unpinned: ConfigError."""
    record = config.find_checkpoint(backbone).pinned(backbone)
    return record.model_dump_json(include={"source", "checkpoint", "revision"})


def backbone_record(config: Config, backbone: str) -> str:
    """The part of a backbone's record that its stores depend on: all but descriptions (batch size: in last bits).

    Keys that came later count only where they are set, so that no store is made anew for their sake.
    """
    record = config.find("backbone", backbone)
    later = ("kept_layers", "dtype", "quantization")
    usual = {name for name in later if getattr(record, name) == type(record).model_fields[name].default}
    return record.model_dump_json(exclude={"license", "architecture", "gated", "device_map"} | usual)


def run_of(config: Config, wildcards: Any) -> artifacts.Run:
    """The run that a training job's wildcards name."""
    w = wildcards
    return artifacts.run(config, w.dataset, w.model, w.inputs, w.variant, int(w.seed))


def run_settings(config: Config, wildcards: Any) -> str:
    """The settings that matter to the run: a changed default of the data set retrains what it touches.

    Those that a search finds for it are in the file of the search, which is one of its inputs.
    """
    this = run_of(config, wildcards)
    names = artifacts.recorded_settings(this) - (space(this.model, this.given).keys() if this.search else set())
    pooling = [config.backbones[source.backbone].pooling for source in this.features]
    watched = config.datasets[this.dataset].watched
    more = "" if watched == "HR@10" else f" {watched}"
    return f"{this.settings.model_dump_json(include=names)} {pooling}{more}"


def searched_run(config: Config, wildcards: Any) -> artifacts.Run:
    """The run whose settings a search's wildcards have searched for; `of` is INPUTS, or INPUTS/VARIANT."""
    inputs, _, given = wildcards.of.partition("/")
    return artifacts.run(config, wildcards.dataset, wildcards.model, inputs, given or "default")


def tuning_needs(config: Config, wildcards: Any) -> list[str]:
    """What every trial of a search reads: the same as a run."""
    return artifacts.run_needs(config, searched_run(config, wildcards))


def tuning_record(config: Config, wildcards: Any) -> str:
    """What a search depends on beside that.

    Settings that are searched for are not in it: pasting what a search found into the config makes no search anew.
    """
    this = searched_run(config, wildcards)
    searched = space(this.model, this.given)
    settings = this.settings.model_dump(mode="json", include=artifacts.recorded_settings(this) - searched.keys())
    told = config.tuning.model_dump() | {"trials": config.trials}
    return json.dumps([settings, described(searched), told, config.datasets[this.dataset].watched], sort_keys=True)


def tuned_needs(config: Config, dataset: str) -> list[str]:
    """The searches on a data set that are finished. Raises ConfigError where there is none."""
    config.find("dataset", dataset)
    if found := artifacts.searches(dataset):
        return found
    example = artifacts.tuning(dataset, "METHOD", "INPUTS")
    raise ConfigError(f"nothing was tuned on data set '{dataset}' yet: snakemake {example} --cores")


def tuning_methods() -> list[str]:
    """The methods that train parts of the backbones, and so run them in every step."""
    return [name for name, method in METHODS.items() if method.reads == "inputs"]


def tables(folder: str | Path) -> dict[str, TableSpec]:
    """The tables declared below a folder, by the name under `results/`: `table3`, `iisan-versa/table1`."""
    root = Path(folder)
    return {
        path.relative_to(root).with_suffix("").as_posix(): load_table(path) for path in sorted(root.rglob("*.yaml"))
    }


def shown(config: Config, specs: Mapping[str, Any]) -> list[str]:
    """The names of those tables or figures for which the chosen study has data sets: a user's own may have one list."""
    return [
        name for name, spec in specs.items() if getattr(config.chosen_study, spec.data or MAIN_DATA[spec.paper], ())
    ]


def table_study(config: Config) -> str:
    """What of the config a table shows beside its runs: the study, and its data sets' names."""
    study = config.chosen_study
    titles = {name: config.find("dataset", name).title for name in study.all_datasets}
    return json.dumps([config.study, study.model_dump(), titles])


def table_record(config: Config, spec: TableSpec) -> str:
    """What of the config a table shows beside its study: of backbones their licence and revision."""
    rows = table_rows(config, spec) if spec.kind == "backbones" else {}
    return json.dumps(backbones_record(config, rows.values()) if rows else None)


def table_reference(folder: str, spec: TableSpec) -> list[str]:
    """The file of the repository that holds the paper's own figures; none for a table of our own."""
    return [beside_snakefile(folder, spec.reference)] if spec.reference else []


def table_needs(config: Config, spec: TableSpec) -> list[str]:
    """What a table is made from."""
    return needs_of(config, spec)


def figures(folder: str | Path) -> dict[str, Figure]:
    """The figures declared below a folder, by the name under `results/`: `figure5`, `iisan-versa/figure1`."""
    root = Path(folder)
    return {
        path.relative_to(root).with_suffix("").as_posix(): load_figure(path) for path in sorted(root.rglob("*.yaml"))
    }


def figure_study(config: Config) -> str:
    """What of the config a figure shows beside its runs: the study, its points, and its data sets' names."""
    study = config.chosen_study
    titles = {name: config.find("dataset", name).title for name in study.all_datasets}
    return json.dumps([config.study, study.model_dump(exclude={"seeds"}), titles])


def figure_needs(config: Config, spec: Figure) -> list[str]:
    """What a figure is drawn from."""
    return figure_kinds.figure_needs(config, spec)


def figure_record(config: Config, spec: Figure) -> str:
    """What lies on disk that a figure shows without needing it: what is there later is shown then."""
    return json.dumps(figure_kinds.figure_record(config, spec))


def figure_files(folder: str, spec: Figure) -> list[str]:
    """The files of the repository that a figure is drawn from beside its own declaration."""
    return [beside_snakefile(folder, os.path.relpath(path, folder)) for path in figure_kinds.figure_files(spec)]


def tabled(specs: Mapping[str, Figure]) -> list[str]:
    """The figures that are tables too."""
    return [name for name, spec in specs.items() if spec.tabled]


def drawn(specs: Mapping[str, Figure]) -> list[str]:
    """The figures that are nothing else."""
    return [name for name, spec in specs.items() if not spec.tabled]


def counted_backbones(config: Config) -> list[str]:
    """The backbones whose parameters follow from the config."""
    return [name for name, record in config.backbones.items() if record.architecture]


def count_record(config: Config, backbones: Iterable[str]) -> str:
    """The part of backbones' records that their numbers of parameters depend on."""
    keys = {"blocks", "width", "architecture"}
    return json.dumps({name: config.find("backbone", name).model_dump(include=keys) for name in backbones})


def efficiency_needs(config: Config, dataset: str, machine: str, specs: Iterable[TableSpec]) -> list[str]:
    """What the rows read whose cost is measured on a data set. Raises ConfigError for another machine than this one."""
    _check_machine(config, machine)
    needs = [path for run in measured_runs(config, dataset, specs) for path in artifacts.run_needs(config, run)]
    return list(dict.fromkeys(needs))


def _check_machine(config: Config, machine: str) -> None:
    """Raise ConfigError for another machine than this one."""
    if machine != machine_of(config):
        raise ConfigError(
            f"results of machine '{machine}' cannot be made here: this is '{machine_of(config)}' (config key 'machine')"
        )


def efficiency_record(config: Config, dataset: str, specs: Iterable[TableSpec]) -> str:
    """What of rows and config a measurement depends on: systems with all their settings, threads, and the timing."""
    runs = {
        run.system: run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run))
        for run in measured_runs(config, dataset, specs)
    }
    timing = config.timing.model_dump(include={"warm_up", "repeats"})
    return json.dumps([runs, config.device, config.threads.train, timing], sort_keys=True)


def efficiency_specs(folder: str, specs: Mapping[str, TableSpec]) -> list[str]:
    """The declarations of the tables that show costs."""
    names = [name for name, spec in specs.items() if spec.kind == "efficiency"]
    return [beside_snakefile(folder, f"workflow/tables/{name}.yaml") for name in names]


def costs_needs(config: Config, dataset: str, machine: str, measurement: str, figures: Iterable[Figure]) -> list[str]:
    """What the points read that are measured for figures. Raises ConfigError for another machine than this one."""
    _check_machine(config, machine)
    points = measured_points(config, dataset, measurement, figures)
    return list(dict.fromkeys(path for run, _ in points for path in artifacts.run_needs(config, run)))


def costs_record(config: Config, dataset: str, measurement: str, figures: Iterable[Figure]) -> str:
    """What of figures and config a measurement depends on: points with all their settings, threads, and the timing."""
    points = {
        artifacts.cost_key(run, reads): run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run))
        for run, reads in measured_points(config, dataset, measurement, figures)
    }
    timing = config.timing.model_dump(include={"warm_up_steps", "steps"})
    return json.dumps([points, config.device, config.threads.train, timing], sort_keys=True)


def measurements(figures: Iterable[Figure]) -> set[str]:
    """The names of all that figures have measured."""
    return {figure.measurement for figure in figures if isinstance(figure, CostFigure)}


def costs_specs(folder: str, figures: Mapping[str, Figure], measurement: str) -> list[str]:
    """The declarations of the figures that show a measurement."""
    names = [name for name, figure in figures.items() if measurement in measurements([figure])]
    return [beside_snakefile(folder, f"workflow/figures/{name}.yaml") for name in names]


def all_cores() -> int:
    """The cores of this machine: a job that asks for them all has no other beside it."""
    return os.cpu_count() or 1


def beside_snakefile(folder: str, path: str) -> str:
    """A file of the repository, by its relative path where the workflow runs in the repository."""
    return path if Path(path).exists() else str(Path(folder) / path)


def one_of(names: Iterable[str]) -> str:
    """A regular expression for exactly these names."""
    return "|".join(re.escape(name) for name in sorted(names)) or r"(?!)"


def other_than(names: Iterable[str]) -> str:
    """A regular expression for every name without a slash but these, as a folder."""
    return rf"(?!(?:{one_of(names)})/)[^/]+"


def none_of(names: Iterable[str]) -> str:
    """A regular expression for every name without a slash but these."""
    return rf"(?!(?:{one_of(names)})/)(?!(?:{one_of(names)})\.json)[^/]+"


def dataset_record(config: Config, dataset: str) -> str:
    """The part of a data set's record that its interactions depend on."""
    found = config.find("dataset", dataset)
    cut = {"split", "labels"} if found.split == "given" else {"min_interactions", "keep_last"}
    table = {"columns"} if config.find("corpus", found.corpus).layout == "inter" else set()
    return found.model_dump_json(include={"corpus", "pairs"} | cut | table)

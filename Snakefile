# One DAG from raw media to every table and figure: see docs/ and `config.yaml`.
#
#     snakemake results/table3.csv --cores
#
# A person reads workflow/rules/ in the order of the data: corpora, backbones, captions, stores, runs, tuning, tables, figures, report.
# Each rule calls one `sanrec` subcommand; the line it ran stands at the head of its log and also works by hand.

import os
import sys

from snakemake.utils import min_version

min_version("9.0")

HERE = str(workflow.current_basedir)  # `basedir` would be another Snakefile's folder where this one is its module
sys.path.insert(0, os.path.join(HERE, "src"))  # the package of this very checkout

from sanrec import artifacts, snakefile as needs
from sanrec.versions import STEPS
from sanrec.workflow.ending import tell_ending
from sanrec.workflow.slurm import wait_for_slurm

wait_for_slurm()


configfile: "config.yaml"


CONFIG = needs.settle(config)
TABLES = needs.tables(os.path.join(HERE, "workflow", "tables"))
FIGURES = needs.figures(os.path.join(HERE, "workflow", "figures"))
OWN_TABLES = needs.own_tables(CONFIG, [*TABLES, *FIGURES])
TABLES |= needs.tables_of(OWN_TABLES)


wildcard_constraints:
    corpus=r"[^/]+",
    dataset=r"[^/]+",
    channel=r"[^/]+",
    medium=r"[^/]+",
    backbone=r"[^/]+",
    model=r"[^/]+",
    inputs=r"[^/]+",
    variant=r"[^/]+",
    seed=r"0|[1-9]\d*",
    machine=r"[^/]+",


rule all:
    input:
        [f"results/{name}.csv" for name in needs.shown(CONFIG, TABLES)],
        [f"results/{name}.svg" for name in needs.shown(CONFIG, FIGURES)],


include: "workflow/rules/corpora.smk"
include: "workflow/rules/backbones.smk"
include: "workflow/rules/captions.smk"
include: "workflow/rules/stores.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


onsuccess:
    tell_ending(log)


onerror:
    tell_ending(log)

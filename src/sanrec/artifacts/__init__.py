"""The single place where a path under `results/` is put together or taken apart.

    results/{corpus}/items.parquet                     a corpus' items with their media
    results/{corpus}/captions/{cover,video}.parquet    what a captioner says of each item
    results/{corpus}/hidden/{channel}/{backbone}.json  manifest, written last, of the store `{backbone}.zarr` beside it
    results/{corpus}/hidden/{channel}/shards/{backbone}/{number}-of-{count}.json   where several jobs share extraction
    results/{corpus}/inputs/{channel}/{backbone}.json  the same for model-ready inputs
    results/checkpoints/{backbone}.json                beside the folder it vouches for
    results/backbones.json                             parameters of the backbones whose architecture the config gives
    results/backbones/{backbone}.json                  parameters of one that is counted from its checkpoint
    results/{dataset}/interactions.parquet             a data set, and its statistics.json
    results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/metrics.json
    results/{dataset}/tuning/{model}/{inputs}.yaml     the best settings that a search found, and every trial beside it
    results/{dataset}/tuning/{model}/{inputs}/{variant}.yaml   the same with some settings given
    results/report.html                                one page of all that is there
    results/{dataset}/efficiency/{machine}.json        time, memory and parameters of Table 4's rows on one machine
    results/{dataset}/efficiency/{machine}/{measurement}.json        time and memory at the points of a figure

One run has one path: a setting equal to its default is never written, and inputs that are the data set's own are
letters. A path that says the same in another way is refused, naming the right one. The variant `tuned` stands for what
the search of that model and inputs finds; `tuned,name=value` for what it finds with that setting given.
"""

from sanrec.artifacts.paths import (
    ROOT,
    caption_shard,
    captions,
    checkpoint,
    checksums_of,
    costs,
    efficiency,
    hidden,
    hidden_begun,
    hidden_shard,
    inputs,
    interactions,
    items,
    media_report,
    own_parameters,
    parameters,
    parse_costs,
    parse_efficiency,
    parse_tuning,
    popularity,
    popularity_folder,
    raw,
    searches,
    statistics,
    store_of,
    tuned,
    tuning,
)
from sanrec.artifacts.runs import Run, cost_key, parse_run, reads_inputs, recorded_settings, require, run, run_needs
from sanrec.artifacts.sources import IDS, Input, format_inputs, parse_inputs
from sanrec.artifacts.variants import (
    TUNED,
    default_settings,
    format_variant,
    given_names,
    given_of,
    method,
    methods,
    parse_variant,
    spell,
    tuned_variant,
)

__all__ = [
    "IDS",
    "ROOT",
    "TUNED",
    "Input",
    "Run",
    "caption_shard",
    "captions",
    "checkpoint",
    "checksums_of",
    "cost_key",
    "costs",
    "default_settings",
    "efficiency",
    "format_inputs",
    "format_variant",
    "given_names",
    "given_of",
    "hidden",
    "hidden_begun",
    "hidden_shard",
    "inputs",
    "interactions",
    "items",
    "media_report",
    "method",
    "methods",
    "own_parameters",
    "parameters",
    "parse_costs",
    "parse_efficiency",
    "parse_inputs",
    "parse_run",
    "parse_tuning",
    "parse_variant",
    "popularity",
    "popularity_folder",
    "raw",
    "reads_inputs",
    "recorded_settings",
    "require",
    "run",
    "run_needs",
    "searches",
    "spell",
    "statistics",
    "store_of",
    "tuned",
    "tuned_variant",
    "tuning",
]

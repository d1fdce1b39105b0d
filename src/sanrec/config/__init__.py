"""The one configuration object: frozen pydantic records, unknown keys refused with the nearest valid name.

Ground floor: imports nothing of sanrec but its errors and the language of `layers`, and no heavy library. `sanrec.load`
fills a `Config` from the built-in registries and the user's config.yaml.
"""

from sanrec.config.backbones import Backbone, Captioner
from sanrec.config.base import (
    CAPTIONED,
    CHANNELS,
    LETTERS,
    USUAL_CAPTIONERS,
    Frozen,
    Fusion,
    Label,
    Medium,
    Modality,
    Pooling,
    validate,
)
from sanrec.config.config import Config
from sanrec.config.data import Columns, Corpus, Dataset, Download, Labels, Periods
from sanrec.config.own import OwnMethod, OwnUserEncoder
from sanrec.config.settings import Settings
from sanrec.config.studies import Resources, Study, Threads, Timing, Tuning

__all__ = [
    "CAPTIONED",
    "CHANNELS",
    "LETTERS",
    "USUAL_CAPTIONERS",
    "Backbone",
    "Captioner",
    "Columns",
    "Config",
    "Corpus",
    "Dataset",
    "Download",
    "Frozen",
    "Fusion",
    "Label",
    "Labels",
    "Medium",
    "Modality",
    "OwnMethod",
    "OwnUserEncoder",
    "Periods",
    "Pooling",
    "Resources",
    "Settings",
    "Study",
    "Threads",
    "Timing",
    "Tuning",
    "validate",
]

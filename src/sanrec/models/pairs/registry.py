"""From a method's name to its recommender on pairs."""

from collections.abc import Sequence

from torch import Tensor

from sanrec.config import Settings
from sanrec.models.pairs.base import PairModel
from sanrec.models.pairs.bm3 import BM3
from sanrec.models.pairs.deepfm import DeepFM
from sanrec.models.pairs.dssm import DSSM
from sanrec.models.pairs.freedom import FREEDOM
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.grcn import GRCN
from sanrec.models.pairs.lightgcn import LightGCN
from sanrec.models.pairs.mf import MatrixFactorization
from sanrec.models.pairs.mgcn import MGCN
from sanrec.models.pairs.mhcr import MHCR
from sanrec.models.pairs.mmgcn import MMGCN
from sanrec.models.pairs.nfm import NFM

PAIR_MODELS: dict[str, type[PairModel]] = {
    "mf": MatrixFactorization,
    "lightgcn": LightGCN,
    "dssm": DSSM,
    "nfm": NFM,
    "deepfm": DeepFM,
    "mmgcn": MMGCN,
    "grcn": GRCN,
    "bm3": BM3,
    "freedom": FREEDOM,
    "mgcn": MGCN,
    "mhcr": MHCR,
}


def build_pair_model(name: str, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> PairModel:
    """The recommender of that name, untrained: its starting weights follow torch's global generator.

    `features` are float32 [I, D_m], one per channel, in the items' order.
    """
    return PAIR_MODELS[name](graph, features, settings)

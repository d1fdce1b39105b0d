"""Where a backbone's weights go while they are read, and the libraries that this needs beyond sanrec's own."""

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sanrec.config import Backbone
from sanrec.errors import ConfigError

if TYPE_CHECKING:
    import torch

# What reads quantised weights in transformers 5: the packages, and how they are installed.
QUANTISED = {"gptq": (("gptqmodel", "optimum"), "pip install --no-deps -r requirements-gptq.txt")}


def placement(
    where: str, quantization: str | None, device: "torch.device", half: bool, device_map: str | None
) -> "str | dict[str, torch.device] | None":
    """What transformers' `device_map` is to be: `auto`, one device for all, or None (into memory, to be moved then).

    Large models, which are those in half precision and the quantised ones, go to their GPU without the detour. `auto`
    holds where `device` is a GPU and none in particular. Raises ConfigError, saying `where`, for weights quantised in a
    way that is not read, and where a library is not installed.
    """
    if quantization is not None:
        if quantization not in QUANTISED:
            known = ", ".join(QUANTISED)
            raise ConfigError(f"{where}: its weights are quantised by '{quantization}'; what can be read is {known}")
        require(*QUANTISED[quantization], f"{where}: reading weights that are quantised by {quantization}")
    on_gpu = device.type == "cuda"
    if quantization is None and not (on_gpu and (half or device_map)):
        return None
    require(("accelerate",), "pip install accelerate", f"{where}: placing weights piece by piece")
    return "auto" if device_map == "auto" and on_gpu and device.index is None else {"": device}


def require(packages: Sequence[str], command: str, what: str) -> None:
    """Raise ConfigError, with the command that installs them, where packages are lacking for `what`."""
    if lacking := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise ConfigError(f"{what} needs {' and '.join(lacking)}. Install with: {command} (docs/backbones.md)")


def check_quantization(found: str | None, backbone: Backbone, name: str) -> None:
    """Raise ConfigError where a checkpoint's weights are quantised in another way than the registry's record says."""
    if backbone.quantization != found:
        raise ConfigError(
            f"backbones.{name}.quantization is {backbone.quantization or 'not set'}, but the weights of checkpoint "
            f"{backbone.checkpoint} are {f'quantised by {found}' if found else 'not quantised'}"
        )

"""Pretrained checkpoints in Hugging Face format, from a local folder only: nothing here reaches for the network.

A checkpoint is known by its manifest `results/checkpoints/{backbone}.json`, whose key `folder` says where the files
are. torch and transformers are imported where a model or tokenizer is really loaded.
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanrec.backbones.placing import placement
from sanrec.config import Backbone
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json, sha256

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DECODERS = {"gemma", "llama", "mistral", "mixtral"}  # known for decoders also where a checkpoint came without its head
DIGESTED = {".safetensors", ".json", ".txt", ".model"}  # weights, configuration, vocabularies
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, with the two small files of it that are read without transformers."""

    manifest: Path
    folder: Path
    config: dict[str, Any]
    """Its config.json."""
    preprocessor: dict[str, Any]
    """Its preprocessor_config.json; empty for text."""

    @property
    def model_type(self) -> str:
        """The architecture, as `bert`, `vit`, `videomae`, `audio-spectrogram-transformer`, `whisper`."""
        return str(self.config.get("model_type", ""))

    @property
    def is_decoder(self) -> bool:
        """Whether it is a causal language model, which sees only what stands before a token."""
        heads = self.config.get("architectures") or ()
        return self.model_type in DECODERS or any(str(name).endswith("ForCausalLM") for name in heads)

    @property
    def quantization(self) -> str | None:
        """How its weights are quantised, as `gptq`; None where they are plain floating-point numbers."""
        return (self.config.get("quantization_config") or {}).get("quant_method")

    def digests(self) -> dict[str, str]:
        """SHA-256 of every file that decides what the model does: by its manifest, if that has them.

        A large checkpoint was read whole when its manifest was made: once is enough.
        """
        if recorded := read_json(self.manifest).get("files"):
            return {name: digest for name, digest in recorded.items() if Path(name).suffix in DIGESTED}
        files = sorted(p for p in self.folder.iterdir() if p.is_file() and p.suffix in DIGESTED)
        return {p.name: sha256(p) for p in files}


def open_checkpoint(manifest: str | Path) -> Checkpoint:
    """The checkpoint of a manifest. A relative folder starts at the working folder, or else beside the manifest.

    Raises DataError where the manifest, its folder, config.json or safetensors weights are missing.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise DataError(f"{manifest}: no such checkpoint manifest; make it with: snakemake {manifest} --cores")
    written = read_json(manifest)
    if "folder" not in written:
        raise DataError(f"{manifest}: no key 'folder'; remove it and make it again with: snakemake {manifest} --cores")
    candidates = [Path(written["folder"]), manifest.parent / written["folder"]]
    folder = next((c for c in candidates if c.is_dir()), None)
    again = f"Remove {manifest} and make it again with: snakemake {manifest} --cores"
    if folder is None:
        raise DataError(f"{manifest}: its folder {written['folder']} is not there. {again}")
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: no config.json: not a checkpoint in Hugging Face format. {again}")
    if not any(folder.glob("*.safetensors")):
        raise DataError(f"{folder}: no *.safetensors: only such weights are read, pickled ones never. {again}")
    preprocessor: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        if (folder / name).is_file():
            preprocessor = read_json(folder / name)
            break
    return Checkpoint(manifest, folder, read_json(folder / "config.json"), preprocessor)


def load_backbone(
    manifest: str | Path,
    device: "str | torch.device" = "cpu",
    dtype: str = "float32",
    device_map: str | None = None,
) -> "PreTrainedModel":
    """The encoder of a checkpoint's manifest in evaluation mode, without task head, pooler or decoder.

    `dtype` is that of weights and arithmetic; where weights are quantised, of the arithmetic alone. `device_map` `auto`
    spreads the model over all GPUs, where `device` names none of them in particular.

    Raises DataError for a checkpoint that transformers does not know, or whose weights leave a parameter unset;
    ConfigError where a library that it needs is not installed.
    """
    import torch
    import transformers

    checkpoint = open_checkpoint(manifest)
    transformers.utils.logging.set_verbosity_error()  # a task head that is left out is no news
    transformers.utils.logging.disable_progress_bar()
    try:
        config = recorded_config(checkpoint)
        options: dict[str, Any] = _without_pooler(config)
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{checkpoint.folder}: transformers {transformers.__version__} knows no model for its config.json "
            f"(model_type '{checkpoint.model_type}')"
        ) from error
    place, half = torch.device(device), dtype != "float32"
    placed = placement(str(checkpoint.folder), checkpoint.quantization, place, half, device_map)
    if placed is not None:
        options["device_map"] = placed
    model, report = transformers.AutoModel.from_pretrained(
        checkpoint.folder,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        output_loading_info=True,
        **options,
    )
    unset = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if config.is_encoder_decoder:
        model = model.get_encoder()
        unset = [key for key in unset if key.startswith("encoder.")]
    if unset:
        raise DataError(
            f"{checkpoint.folder}: its weights leave {len(unset)} parameters unset, the first is '{unset[0]}': "
            "the files do not belong together, or the download is incomplete"
        )
    if checkpoint.is_decoder:
        model.config.use_cache = False  # nothing is generated
    return model.eval() if placed is not None else model.eval().to(place)


def empty_backbone(manifest: str | Path | None, backbone: Backbone, name: str) -> "PreTrainedModel":
    """The encoder without weights, on the meta device: to count its parameters.

    Built from the checkpoint where there is one (and a manifest is given), else from the registry's `architecture`.
    Raises ConfigError where there is neither, or where depth or width are not as the registry says.
    """
    import torch
    import transformers

    if manifest is not None and Path(manifest).is_file():
        config = recorded_config(open_checkpoint(manifest))
    elif "model_type" in backbone.architecture:
        config = transformers.AutoConfig.for_model(**backbone.architecture)
    else:
        raise ConfigError(
            f"backbones.{name}: neither its checkpoint is here nor its architecture in the config, so its parameters "
            f"cannot be counted; make the checkpoint with: snakemake {manifest} --cores"
        )
    check_shape(config, backbone, name)
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config, **_without_pooler(config))
    return model.get_encoder() if config.is_encoder_decoder else model


def _without_pooler(config: "PreTrainedConfig") -> dict[str, bool]:
    """What leaves out a pooler, where the architecture has one: unused, it would count among the parameters."""
    import transformers

    signature = inspect.signature(transformers.MODEL_MAPPING[type(config)].__init__)
    return {"add_pooling_layer": False} if "add_pooling_layer" in signature.parameters else {}


def recorded_config(checkpoint: Checkpoint) -> "PreTrainedConfig":
    """The checkpoint's config.json as transformers reads it: it knows each architecture's word for depth and width."""
    import transformers

    return transformers.AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)


def check_shape(config: "PreTrainedConfig", backbone: Backbone, name: str) -> None:
    """Raise ConfigError where the registry's record of a backbone gives another depth or width than the model has."""
    for field, key in (("blocks", "num_hidden_layers"), ("width", "hidden_size")):
        mine, its = getattr(backbone, field), getattr(config, key)
        if mine != its:
            raise ConfigError(f"backbones.{name}.{field} is {mine}, but checkpoint {backbone.checkpoint} has {its}")


def load_tokenizer(checkpoint: Checkpoint) -> "PreTrainedTokenizerBase":
    """The checkpoint's tokenizer. Raises DataError where there is none, or none that transformers can read."""
    import transformers

    # without any of these, transformers gives a tokenizer that knows no word
    if not any((checkpoint.folder / name).is_file() for name in VOCABULARIES):
        raise DataError(f"{checkpoint.folder}: no tokenizer: none of {', '.join(VOCABULARIES)} is there")
    try:
        return transformers.AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{checkpoint.folder}: no tokenizer that transformers can read: {error}") from error


def bos_token(checkpoint: Checkpoint) -> int | None:
    """The begin-of-sequence token of a decoder language model, which mean pooling leaves out; None for encoders."""
    return checkpoint.config.get("bos_token_id") if checkpoint.is_decoder else None

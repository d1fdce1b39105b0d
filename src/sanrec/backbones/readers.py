"""From an item to model-ready integers, which can be kept: token ids, pixels, quantised log-mel features.

One class per modality (images and videos: `pixels`), all with the same face, `ModelInputs`. `conversion` turns the
integers into what a model's forward takes; extraction and training through the backbones both go this way, so that
cached equals uncached to the bit. What a checkpoint's preprocessor_config.json says is applied here, without
transformers' own processors: they want torchvision for pixels and torchaudio for sound.
"""

import threading
from typing import Any, Protocol

import numpy as np

from sanrec.backbones.checkpoints import Checkpoint, bos_token, load_tokenizer
from sanrec.backbones.pixels import ImageInputs, VideoInputs
from sanrec.config import Backbone
from sanrec.errors import ConfigError, DataError
from sanrec.media import CLIP_SECONDS, MediaError
from sanrec.media.audio import WHISPER_HOP, WHISPER_WINDOW, kaldi_log_mel, read_waveform, whisper_log_mel

CAPTION_TOKENS = 128
"""Longest caption in tokens, special ones included."""


class ModelInputs(Protocol):
    """What every class of this module, and of `pixels`, offers."""

    settings: dict[str, Any]
    """What decides the integers and their conversion, for the stores' attributes."""
    arrays: dict[str, tuple[str, tuple[int, ...]]]
    """The integers by name: type, and shape per item."""

    def read(self, source: str) -> dict[str, np.ndarray]:
        """The integers of one item: of a text, or of the media file at a path. Raises MediaError for a bad one."""


def model_inputs(backbone: Backbone, checkpoint: Checkpoint, channel: str) -> ModelInputs:
    """The inputs of a backbone over a channel. Raises ConfigError or DataError for a checkpoint that does not fit."""
    if backbone.modality == "text":
        return TextInputs(checkpoint, max_tokens(backbone, channel))
    if not checkpoint.preprocessor:
        raise DataError(f"{checkpoint.folder}: no preprocessor_config.json to say how {backbone.modality} is prepared")
    return {"image": ImageInputs, "video": VideoInputs, "audio": AudioInputs}[backbone.modality](checkpoint)


def max_tokens(backbone: Backbone, channel: str) -> int:
    """Longest text in tokens: the backbone's own for titles, CAPTION_TOKENS for captions."""
    return CAPTION_TOKENS if channel.endswith("-caption") else backbone.max_tokens


class TextInputs:
    """Token ids with the model's special tokens, cut to `max_tokens`, padded on the right.

    Padding is ours, on whichever side the tokenizer would pad: no model sees it, since attention leaves it out, and a
    decoder's states do not depend on what stands behind them. So a tokenizer without a padding token takes any.
    """

    def __init__(self, checkpoint: Checkpoint, max_tokens: int) -> None:
        self.tokenizer = load_tokenizer(checkpoint)
        self.max_tokens = max_tokens
        self.pad = self.tokenizer.pad_token_id or 0
        bos = bos_token(checkpoint)
        if bos is None and checkpoint.is_decoder:
            bos = self.tokenizer.bos_token_id
        self.settings = {"max_tokens": max_tokens, "bos": bos}
        self.arrays = {"input_ids": ("int32", (max_tokens,)), "length": ("int32", ())}
        self._lock = threading.Lock()  # a fast tokenizer refuses two threads at once

    def read(self, source: str) -> dict[str, np.ndarray]:
        """A text to input_ids [max_tokens] and its length in tokens."""
        with self._lock:
            ids = self.tokenizer(source, truncation=True, max_length=self.max_tokens)["input_ids"]
        if not ids:
            raise MediaError(repr(source), "no token of it is known to the model")
        row = np.full(self.max_tokens, self.pad, dtype=np.int32)
        row[: len(ids)] = ids
        return {"input_ids": row, "length": np.array(len(ids), dtype=np.int32)}


class AudioInputs:
    """Log-mel features before normalisation as int16 [T, B], for AST and for Whisper's encoder.

    T is what the first three seconds give; the rest, up to the length that the model takes, is added on the device:
    zeros for AST, silence for Whisper. A step of the integers is 1/1024 for AST's natural logarithms (-15.9 to below
    32) and 1/3072 for Whisper's decimal ones (-10 to below 10), so that a feature is off by 5e-4 at most.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        p = checkpoint.preprocessor
        kind = str(p.get("feature_extractor_type") or checkpoint.model_type).lower()
        self.is_whisper = kind.startswith("whisper")
        if not self.is_whisper and not kind.startswith(("ast", "audio-spectrogram-transformer")):
            raise ConfigError(f"{checkpoint.folder}: audio features are those of AST or Whisper, not of '{kind}'")
        self.rate = int(p.get("sampling_rate", 16000))
        samples = round(CLIP_SECONDS * self.rate)
        if self.is_whisper:
            self.bands = int(p.get("feature_size", 80))
            self.length = int(p.get("chunk_length", 30)) * self.rate // WHISPER_HOP
            # the last frame kept lies wholly behind the sound: it is the silence that the rest is made of
            heard = -(-(samples + WHISPER_WINDOW // 2) // WHISPER_HOP) + 1
            self.step, self.mean, self.divisor = 1 / 3072, -4.0, 4.0
        else:
            self.bands = int(p.get("num_mel_bins", 128))
            self.length = int(p.get("max_length", 1024))
            heard = 1 + (samples - int(self.rate * 0.025)) // int(self.rate * 0.010)
            self.step = 1 / 1024
            normalises = p.get("do_normalize", True)
            self.mean = float(p.get("mean", -4.2677393)) if normalises else 0.0
            self.divisor = 2 * float(p.get("std", 4.5689974)) if normalises else 1.0
        self.kept = min(self.length, heard)
        self.settings = {"features": "whisper" if self.is_whisper else "kaldi", "rate": self.rate, "bands": self.bands}
        self.settings |= {"length": self.length, "mean": self.mean, "divisor": self.divisor, "step": self.step}
        self.settings |= {"seconds": CLIP_SECONDS}
        self.arrays = {"features": ("int16", (self.kept, self.bands)), "length": ("int32", ())}

    def read(self, source: str) -> dict[str, np.ndarray]:
        """A file with sound to features [T, B] and the number of frames that sound."""
        wave = read_waveform(source, self.rate)
        if self.is_whisper:
            mel = whisper_log_mel(wave, self.kept, self.rate, self.bands)
            length = min(self.kept, -(-wave.size // WHISPER_HOP))
        elif wave.size < int(self.rate * 0.025):
            raise MediaError(source, f"{wave.size / self.rate:.3f} s of sound are less than one window of 25 ms")
        else:
            mel = kaldi_log_mel(wave, self.rate, self.bands)[: self.kept]
            length = len(mel)
        features = np.zeros((self.kept, self.bands), dtype=np.int16)
        features[: len(mel)] = np.rint(mel / self.step)
        return {"features": features, "length": np.array(length, dtype=np.int32)}

"""Sound files, or the sound of videos, to a waveform and to log-mel features.

N samples, T frames of the analysis, B mel bands. Waveforms are float32 in [-1, 1].
"""

from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from sanrec.media import CLIP_SECONDS, MediaError, decoding

KALDI_FLOOR = 1.192092955078125e-07  # float32's epsilon, to which Kaldi raises an empty band
KALDI_LOWEST_HERTZ = 20.0
PREEMPHASIS = 0.97
WHISPER_WINDOW = 400
WHISPER_HOP = 160
WHISPER_FLOOR = 1e-10


def read_waveform(file: str | Path, rate: int = 16000, seconds: float = CLIP_SECONDS) -> np.ndarray:
    """The first `seconds` of sound, all channels averaged, at `rate` samples a second: float32 [N].

    The file is anything with a sound track, videos included. Raises MediaError: missing, empty, no sound track, no
    sample, does not decode.
    """
    import librosa

    with decoding(file):
        blocks: list[np.ndarray] = []
        found = 0
        with av.open(str(file)) as container:
            if not container.streams.audio:
                raise MediaError(file, "no sound track")
            stream = container.streams.audio[0]
            own_rate = stream.codec_context.sample_rate
            to_float = av.AudioResampler(format="fltp")  # layout and rate stay
            wanted = round(seconds * own_rate)
            for frame in container.decode(stream):
                for block in to_float.resample(frame):
                    blocks.append(block.to_ndarray().mean(axis=0, dtype=np.float32))
                    found += blocks[-1].size
                if found >= wanted:
                    break
        if not found:
            raise MediaError(file, "the sound track holds no sample")
        wave = np.concatenate(blocks)[:wanted]
        if not np.isfinite(wave).all():
            raise MediaError(file, "the sound track holds values that are no numbers")
        if own_rate != rate:
            wave = librosa.resample(wave, orig_sr=own_rate, target_sr=rate, res_type="soxr_hq")
        return np.ascontiguousarray(wave[: round(seconds * rate)], dtype=np.float32)


def kaldi_log_mel(wave: np.ndarray, rate: int = 16000, bands: int = 128) -> np.ndarray:
    """Kaldi's filter bank features, as the Audio Spectrogram Transformer takes them: float32 [T, B].

    Windows of 25 ms every 10 ms that lie wholly inside the sound; of each, the mean is taken off, then pre-emphasis
    0.97, a Hann window, the power spectrum, triangles on the HTK mel scale from 20 Hz to rate / 2 (straight in mel,
    not in hertz), natural logarithm. AST: Gong et al., 2021, section 2.1.

    Raises ValueError for less sound than one window.
    """
    import librosa

    window, hop = int(rate * 0.025), int(rate * 0.010)
    if wave.size < window:
        raise ValueError(f"{wave.size} samples are less than one window of {window}")
    frames = librosa.util.frame(wave.astype(np.float64), frame_length=window, hop_length=hop, axis=0)
    frames = frames - frames.mean(axis=1, keepdims=True)
    # each sample minus 0.97 of the one before; the first has itself before it
    emphasised = np.empty_like(frames)
    np.multiply(frames[:, :-1], -PREEMPHASIS, out=emphasised[:, 1:])
    emphasised[:, 1:] += frames[:, 1:]
    emphasised[:, 0] = (1 - PREEMPHASIS) * frames[:, 0]
    emphasised *= np.hanning(window)
    size = 1 << (window - 1).bit_length()
    spectrum = np.fft.rfft(emphasised, n=size, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(np.maximum(power @ _kaldi_triangles(rate, size, bands), KALDI_FLOOR)).astype(np.float32)


@lru_cache
def _kaldi_triangles(rate: int, size: int, bands: int) -> np.ndarray:
    """Triangular filters [size / 2 + 1, B], equally wide on the mel scale and straight-sided on it."""
    import librosa

    lowest, highest = librosa.hz_to_mel([KALDI_LOWEST_HERTZ, rate // 2], htk=True)
    corners = np.linspace(lowest, highest, bands + 2)
    bins = librosa.hz_to_mel(np.arange(size // 2 + 1) * rate / size, htk=True)[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def whisper_log_mel(wave: np.ndarray, frames: int, rate: int = 16000, bands: int = 80) -> np.ndarray:
    """Whisper's features before its affine scaling: float32 [T, B], the first `frames` of the zero-padded sound.

    Centred Hann windows of 400 samples every 160, power, Slaney's mel triangles, log10, no band more than 8 below the
    loudest (Radford et al., 2022, section 2.2). The model takes (x + 4) / 4.
    """
    import librosa

    # padding reaches one hop past the last window, so that none of the frames kept sees the mirrored end
    padded = np.zeros((frames + 3) * WHISPER_HOP, dtype=np.float32)
    padded[: wave.size] = wave[: padded.size]
    spectrum = librosa.stft(padded, n_fft=WHISPER_WINDOW, hop_length=WHISPER_HOP, center=True, pad_mode="reflect")
    mel = _slaney_triangles(rate, bands) @ np.abs(spectrum[:, :frames]) ** 2
    log = np.log10(np.maximum(mel, WHISPER_FLOOR))
    return np.maximum(log, log.max() - 8.0).T.astype(np.float32)


@lru_cache
def _slaney_triangles(rate: int, bands: int) -> np.ndarray:
    """Slaney's area-normalised mel filters [B, 201]; Whisper's end at 8 kHz."""
    import librosa

    return librosa.filters.mel(sr=rate, n_fft=WHISPER_WINDOW, n_mels=bands, fmin=0.0, fmax=8000.0)

import time
import wave as wave_files
from pathlib import Path

import numpy as np
import pytest

from sanrec.media import MediaError
from sanrec.media.audio import kaldi_log_mel, read_waveform, whisper_log_mel

pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter")  # AST's lowest of 128 bands is empty


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write_wav(path: Path, channels: np.ndarray, rate: int) -> None:
    """Channels [C, N] in [-1, 1] as 16-bit PCM."""
    with wave_files.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(channels.T * 32767).astype("<i2").tobytes())


def sounds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time_s = np.arange(48000) / 16000
    return {
        "noise": rng.uniform(-1, 1, 48000).astype(np.float32),
        "quiet": (1e-5 * rng.standard_normal(48000)).astype(np.float32),
        "offset": (0.3 + 0.2 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32),
        "sweep": (0.5 * np.sin(2 * np.pi * (100 + 1200 * time_s) * time_s)).astype(np.float32),
        "short": rng.uniform(-1, 1, 7001).astype(np.float32),
        "silence": np.zeros(48000, dtype=np.float32),
    }


@pytest.mark.parametrize("name", sounds())
@pytest.mark.parametrize("bands", [128, 64])
def test_kaldi_features_are_those_of_the_ast_extractor(name, bands):
    transformers = pytest.importorskip("transformers")
    wave = sounds()[name]
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=bands)
    theirs = np.asarray(extractor(wave, sampling_rate=16000)["input_values"][0])
    ours = kaldi_log_mel(wave, bands=bands)
    assert len(ours) == 1 + (len(wave) - 400) // 160
    np.testing.assert_allclose((ours - extractor.mean) / (2 * extractor.std), theirs[: len(ours)], atol=1e-3)


def test_kaldi_features_do_not_loop_over_frames():
    transformers = pytest.importorskip("transformers")
    extractor, wave = transformers.ASTFeatureExtractor(), sounds()["noise"]
    kaldi_log_mel(wave)

    def fastest(function):
        spent = []
        for _ in range(5):
            start = time.perf_counter()
            function()
            spent.append(time.perf_counter() - start)
        return min(spent)

    assert fastest(lambda: kaldi_log_mel(wave)) < fastest(lambda: extractor(wave, sampling_rate=16000))


def test_less_than_a_window_has_no_features():
    with pytest.raises(ValueError, match="less than one window"):
        kaldi_log_mel(np.zeros(399, dtype=np.float32))


@pytest.mark.parametrize("name", ["noise", "sweep", "short", "silence"])
def test_whisper_features_are_those_of_its_extractor(name):
    transformers = pytest.importorskip("transformers")
    wave = sounds()[name]
    theirs = np.asarray(transformers.WhisperFeatureExtractor()(wave, sampling_rate=16000)["input_features"][0]).T
    ours = (whisper_log_mel(wave, 303) + 4) / 4
    np.testing.assert_allclose(ours, theirs[:303], atol=1e-3)
    np.testing.assert_allclose(np.broadcast_to(ours[-1], theirs[303:].shape), theirs[303:], atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_the_first_three_seconds_at_the_rate_asked_for(tmp_path, rate):
    write_wav(tmp_path / "a.wav", np.stack([tone(440, 4.0, rate)] * 2), rate)
    found = read_waveform(tmp_path / "a.wav")
    assert found.dtype == np.float32
    assert abs(len(found) - 48000) <= 1
    expected = tone(440, 3.0, 16000)[: len(found)]
    inside = slice(400, -400)  # a resampler rings at the ends
    assert np.abs(found[inside] - expected[inside]).max() < 0.01


def test_channels_are_averaged_and_short_sounds_stay_short(tmp_path):
    both = np.stack([tone(440, 1.0, 16000), -tone(440, 1.0, 16000)])
    write_wav(tmp_path / "a.wav", both, 16000)
    found = read_waveform(tmp_path / "a.wav")
    assert len(found) == 16000
    assert np.abs(found).max() < 1e-4


def test_bad_files_say_why(tmp_path):
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no sound")
    write_wav(tmp_path / "empty.wav", np.zeros((1, 0)), 16000)
    for name, reason in {"none": "no such file", "zero": "zero bytes", "text": "does not decode", "empty": ""}.items():
        with pytest.raises(MediaError) as caught:
            read_waveform(tmp_path / f"{name}.wav")
        assert reason in caught.value.reason


def test_real_sounds(real_data):
    for file in (real_data / "media").glob("*.ogg"):
        assert len(read_waveform(file)) == 48000
    for file in (real_data / "microlens-media" / "videos").glob("*.mp4"):
        found = read_waveform(file)
        assert len(found) == 48000
        assert np.abs(found).max() > 0.01
    with pytest.raises(MediaError, match="no sound track"):
        read_waveform(real_data / "media" / "bikes-no-audio.mp4")

import csv
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from sanrec.backbones import extract as step
from sanrec.backbones import filling
from sanrec.backbones.checkpoints import load_backbone, load_tokenizer, open_checkpoint
from sanrec.backbones.inputs import build_input_store, expected_input_settings
from sanrec.backbones.report import write_media_report
from sanrec.backbones.shards import Shard
from sanrec.backbones.store import MISSING, USED, open_hidden, verify
from sanrec.errors import ConfigError, DataError, StoreError
from sanrec.load import load_config
from sanrec.media import MediaError, apart
from sanrec.media.audio import read_waveform
from sanrec.media.image import read_image
from sanrec.media.video import read_frames

MISSING_ROWS = {"text": [3], "image": [2, 4], "video": [5], "audio": [5, 6], "whisper": [5, 6]}


def official(kind: str, folder: Path, row: dict):
    """Hidden states [L, D] and final [D] of one item by transformers' own classes and processors alone."""
    load = {"local_files_only": True, "use_safetensors": True}
    with torch.inference_mode():
        if kind == "text":
            tokens = transformers.AutoTokenizer.from_pretrained(folder)(
                row["title"], truncation=True, max_length=8, return_tensors="pt"
            )
            out = transformers.BertModel.from_pretrained(folder, **load)(**tokens, output_hidden_states=True)
        elif kind == "image":
            processor = transformers.ViTImageProcessorPil.from_pretrained(folder)
            pixels = processor(read_image(row["cover"]), return_tensors="pt")
            out = transformers.ViTForImageClassification.from_pretrained(folder, **load).vit(
                **pixels, output_hidden_states=True
            )
        elif kind == "video":
            processor = transformers.VideoMAEImageProcessorPil.from_pretrained(folder)
            pixels = processor(list(read_frames(row["video"], 4)), return_tensors="pt")
            out = transformers.VideoMAEModel.from_pretrained(folder, **load)(**pixels, output_hidden_states=True)
        elif kind == "audio":
            extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=320)
            mel = extractor(read_waveform(row["audio"]), sampling_rate=16000, return_tensors="pt")
            out = transformers.ASTModel.from_pretrained(folder, **load)(
                mel["input_values"].float(), output_hidden_states=True
            )
        else:
            mel = transformers.WhisperFeatureExtractor()(
                read_waveform(row["audio"]), sampling_rate=16000, return_tensors="pt"
            )
            model = transformers.WhisperModel.from_pretrained(folder, **load).get_encoder()
            out = model(mel["input_features"], output_hidden_states=True)
    if kind in ("text", "image", "audio"):
        return torch.stack([h[0, 0] for h in out.hidden_states]).numpy(), out.last_hidden_state[0, 0].numpy()
    count = -(-len(read_waveform(row["audio"])) // 320) if kind == "whisper" else None  # 20 ms of sound to a state
    means = [h[0, :count].mean(0) for h in (*out.hidden_states, out.last_hidden_state)]
    return torch.stack(means[:-1]).numpy(), means[-1].numpy()


@pytest.mark.parametrize("kind", MISSING_ROWS)
def test_states_are_those_of_transformers_with_its_own_processors(world, checkpoints, tmp_path, kind):
    manifest = step.extract(*world.arguments(kind, tmp_path / "x.json"), threads=2, device="cpu")
    states = open_hidden(tmp_path / "x.json")
    hidden, final, valid = states.read_layers([0, 1, 2]), states.read_final(), states.read_valid()
    assert np.flatnonzero(valid == MISSING).tolist() == MISSING_ROWS[kind]
    assert (manifest["used"], manifest["missing"]) == (11 - len(MISSING_ROWS[kind]), len(MISSING_ROWS[kind]))
    assert hidden.dtype == np.float16
    for k, row in enumerate(world.rows):
        if valid[k] == MISSING:
            assert not hidden[k].any()
            assert not final[k].any()
            continue
        want_hidden, want_final = official(kind, checkpoints / kind, row)
        np.testing.assert_allclose(hidden[k], want_hidden, rtol=2e-3, atol=3e-3)
        np.testing.assert_allclose(final[k], want_final, rtol=2e-3, atol=3e-3)
    used = hidden[valid == USED][:, -1].astype(np.float32)
    assert np.ptp(used, axis=0).max() > 0.1  # the items differ, so that agreement means something
    verify(tmp_path / "x.json")


@pytest.mark.parametrize("kind", MISSING_ROWS)
def test_states_in_bfloat16_are_near_those_in_float32(world, tmp_path, kind):
    """Each kind's inputs are made in float32: they are rounded to the weights' type, as some models insist."""
    record = world.config.backbones[kind].model_copy(update={"dtype": "bfloat16"})
    half = world.config.model_copy(update={"backbones": {**world.config.backbones, kind: record}})
    step.extract(*world.arguments(kind, tmp_path / "single.json"), device="cpu")
    step.extract(*world.arguments(kind, tmp_path / "half.json", half), device="cpu")
    single, rounded = (open_hidden(tmp_path / name).read_layers([0, 1, 2]) for name in ("single.json", "half.json"))
    difference = np.linalg.norm(single.astype(np.float32) - rounded) / np.linalg.norm(single.astype(np.float32))
    assert 0 < difference < 0.03


def test_missing_items_are_listed_with_reasons_once_per_corpus(world, tmp_path):
    for kind in ("image", "video", "audio", "whisper"):
        step.extract(*world.arguments(kind, tmp_path / f"{kind}.json"), device="cpu")
    with (tmp_path / "image.missing.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["item"], r["channel"], r["path"] or None, r["reason"]) for r in rows] == [
        ("i2", "cover", None, "no file"),
        ("i4", "cover", world.rows[4]["cover"], "zero bytes"),
    ]
    count = write_media_report(
        [tmp_path / f"{k}.json" for k in ("image", "video", "audio", "whisper")], tmp_path / "all.csv"
    )
    text = (tmp_path / "all.csv").read_text()
    assert count == 5
    assert "i6,audio," in text
    assert "no sound track" in text
    assert "i5,video," in text
    assert "does not decode" in text


class Killed(BaseException):
    """As a signal: nothing catches it."""


def store_bytes(manifest: Path) -> dict[str, bytes]:
    folder = manifest.with_suffix(".zarr")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", ["text", "image"])
@pytest.mark.parametrize("units", [0, 1, 2])
def test_a_killed_extraction_goes_on_to_the_same_bytes(world, tmp_path, monkeypatch, kind, units):
    whole, broken = tmp_path / "whole.json", tmp_path / "broken.json"
    step.extract(*world.arguments(kind, whole), device="cpu")
    real, written, halves = filling.write_unit, [], []

    def dying(group, rows, arrays, valid):
        if len(written) == units:  # in the middle of a unit: values are there, validity is not
            group["hidden"][rows.start : rows.stop] = 7
            for name in ("hidden", "valid"):  # and a file is half written, under the name that zarr gives such ones
                array, root = group[name], Path(group.store.root, name, "c", str(rows.start // group[name].chunks[0]))
                half = root.joinpath(*"0" * (array.ndim - 1)).with_suffix(".0123456789abcdef.partial")
                half.parent.mkdir(parents=True, exist_ok=True)
                half.write_bytes(b"half")
                halves.append(half)
            raise Killed
        written.append(rows)
        real(group, rows, arrays, valid)

    monkeypatch.setattr(filling, "write_unit", dying)
    with pytest.raises(Killed):
        step.extract(*world.arguments(kind, broken), device="cpu")
    assert not broken.exists()
    assert [half.is_file() for half in halves] == [True, True]
    again = []
    monkeypatch.setattr(filling, "write_unit", lambda g, rows, *rest: (again.append(rows), real(g, rows, *rest)))
    step.extract(*world.arguments(kind, broken), device="cpu")
    assert len(again) == 3 - units  # 11 items in units of 4
    assert store_bytes(broken) == store_bytes(whole)
    assert (tmp_path / "broken.missing.csv").read_bytes() == (tmp_path / "whole.missing.csv").read_bytes()


def other(world, **changes):
    values = world.config.backbones["text"].model_dump() | changes
    return load_config({"backbones": {"text": values}, "corpora": {"tiny": world.config.corpora["tiny"].model_dump()}})


def test_a_finished_store_is_left_alone_and_one_of_other_settings_is_refused(world, tmp_path, monkeypatch):
    out = tmp_path / "x.json"
    step.extract(*world.arguments("text", out), device="cpu")
    before = store_bytes(out)
    monkeypatch.setattr(filling, "write_unit", lambda *a: pytest.fail("nothing is to be done"))
    step.extract(*world.arguments("text", out), device="cpu")
    changed = other(world, pooling="mean")
    with pytest.raises(StoreError, match=r"settings.pooling: the store has 'first', asked is 'mean'.*remove"):
        step.extract(*world.arguments("text", out, changed), device="cpu")
    asked = step.expected_settings(changed, "tiny", "title", "text")
    with pytest.raises(StoreError, match="pooling: the store has 'first', asked is 'mean'"):
        open_hidden(out, asked)
    open_hidden(out, step.expected_settings(world.config, "tiny", "title", "text"))
    assert store_bytes(out) == before


def test_a_store_whose_manifest_was_taken_away_is_made_anew_by_other_settings(world, tmp_path):
    out, fresh = tmp_path / "x.json", tmp_path / "fresh.json"
    step.extract(*world.arguments("text", out), device="cpu")
    out.unlink()  # as Snakemake does before it runs a rule again
    step.extract(*world.arguments("text", out, other(world, pooling="mean")), device="cpu")
    step.extract(*world.arguments("text", fresh, other(world, pooling="mean")), device="cpu")
    assert store_bytes(out) == store_bytes(fresh)


def test_too_many_missing_items_are_an_error_that_names_them(world, tmp_path):
    corpus = world.config.corpora["tiny"].model_dump() | {"missing_limit": 0.1}
    backbones = {"image": world.config.backbones["image"].model_dump()}
    strict = load_config({"backbones": backbones, "corpora": {"tiny": corpus}})
    with pytest.raises(DataError, match=r"2 of 11 items.*limit of 10.0%.*item i2: no file.*corpora.tiny.missing_limit"):
        step.extract(*world.arguments("image", tmp_path / "x.json", strict), device="cpu")
    assert not (tmp_path / "x.json").exists()
    assert "i4,cover" in (tmp_path / "x.missing.csv").read_text()


def test_batches_by_length_give_what_one_by_one_gives(world, tmp_path):
    step.extract(*world.arguments("text", tmp_path / "many.json"), device="cpu")
    step.extract(*world.arguments("text", tmp_path / "one.json", other(world, batch_size=1)), device="cpu")
    many, one = (open_hidden(tmp_path / f"{n}.json").read_layers([0, 1, 2]).astype(np.float32) for n in ("many", "one"))
    np.testing.assert_allclose(many, one, atol=4e-3)
    assert np.abs(many).max() > 0.5


def test_values_beyond_half_precision_make_the_whole_store_float32(world, checkpoints, tmp_path, caplog):
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoints / "image", tmp_path / "image")
    weights = load_file(tmp_path / "image" / "model.safetensors")
    weights = {k: v * 1e6 if k.endswith("cls_token") else v for k, v in weights.items()}
    weights["vit.embeddings.cls_token"] += 1e5
    save_file(weights, tmp_path / "image" / "model.safetensors", {"format": "pt"})
    (tmp_path / "image.json").write_text('{"folder": "image"}')
    arguments = list(world.arguments("image", tmp_path / "x.json"))
    arguments[5] = tmp_path / "image.json"
    with caplog.at_level(logging.WARNING):
        manifest = step.extract(*arguments, device="cpu")
    assert "made again in float32" in caplog.text
    assert manifest["arrays"]["hidden"]["dtype"] == manifest["arrays"]["final"]["dtype"] == "float32"
    states = open_hidden(tmp_path / "x.json")
    assert np.abs(states.read_layers([0])).max() > 65504
    assert np.flatnonzero(states.read_valid() == MISSING).tolist() == [2, 4]
    shared_by_jobs(arguments, tmp_path)


def shared_by_jobs(arguments, tmp_path):
    """The same, where no job can decide it: the message says what to set, and that is enough."""
    arguments[6] = tmp_path / "shared.json"
    step.extract(*arguments, device="cpu", begin_only=True)
    with pytest.raises(DataError, match=r"Set backbones\.image\.store_dtype to float32"):
        step.extract(*arguments, device="cpu", shard=Shard(1, 2))
    record = arguments[0].backbones["image"].model_copy(update={"store_dtype": "float32"})
    arguments[0] = arguments[0].model_copy(update={"backbones": {**arguments[0].backbones, "image": record}})
    step.extract(*arguments, device="cpu", begin_only=True)
    for shard in (Shard(1, 2), Shard(2, 2)):
        step.extract(*arguments, device="cpu", shard=shard)
    assert step.extract(*arguments, device="cpu")["arrays"]["hidden"]["dtype"] == "float32"
    alone, shared = (open_hidden(tmp_path / f"{name}.json") for name in ("x", "shared"))
    assert np.array_equal(alone.read_layers([0, 1, 2]), shared.read_layers([0, 1, 2]))
    assert np.array_equal(alone.read_final(), shared.read_final())
    asked = step.expected_settings(arguments[0], "tiny", "cover", "image")
    assert asked["store_dtype"] == "float32"
    assert "store_dtype" not in expected_input_settings(arguments[0], "tiny", "cover", "image")


def test_no_pooler_no_head_no_decoder(checkpoints):
    for name, kind in {"text": "BertModel", "image": "ViTModel", "video": "VideoMAEModel", "audio": "ASTModel"}.items():
        model = load_backbone(checkpoints / f"{name}.json")
        assert type(model).__name__ == kind
        assert not model.training
        assert not [n for n, _ in model.named_parameters() if "pooler" in n or "decoder" in n or "classifier" in n]
    assert type(load_backbone(checkpoints / "whisper.json")).__name__ == "WhisperEncoder"


def test_bad_checkpoints_are_refused_in_words(world, checkpoints, tmp_path):
    with pytest.raises(DataError, match="no such checkpoint manifest"):
        open_checkpoint(tmp_path / "none.json")
    shutil.copytree(checkpoints / "text", tmp_path / "text")
    (tmp_path / "text.json").write_text('{"folder": "text"}')
    (tmp_path / "text" / "model.safetensors").rename(tmp_path / "text" / "pytorch_model.bin")
    with pytest.raises(DataError, match="only such weights are read"):
        open_checkpoint(tmp_path / "text.json")
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoints / "text" / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "text" / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"1 parameters unset.*encoder.layer.1.output.dense.weight"):
        load_backbone(tmp_path / "text.json")
    with pytest.raises(ConfigError, match=r"backbones\.text\.blocks is 3, but checkpoint"):
        step.extract(*world.arguments("text", tmp_path / "x.json", other(world, blocks=3)), device="cpu")
    with pytest.raises(ConfigError, match="reads text, but channel 'cover' is image"):
        step.expected_settings(world.config, "tiny", "cover", "text")


def test_the_steps_are_read_without_torch_or_transformers():
    code = "import sys, sanrec.backbones.extract, sanrec.backbones.inputs, sanrec.backbones.report; "
    code += "sys.exit(bool({'torch', 'transformers', 'zarr', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_tokenizer_is_refused(checkpoints, tmp_path):
    shutil.copytree(checkpoints / "text", tmp_path / "text")
    for path in (tmp_path / "text").iterdir():
        if "token" in path.name or "vocab" in path.name:
            path.unlink()
    (tmp_path / "text.json").write_text('{"folder": "text"}')
    with pytest.raises(DataError, match="no tokenizer"):
        load_tokenizer(open_checkpoint(tmp_path / "text.json"))


@pytest.mark.parametrize("build", [step.extract, build_input_store])
def test_an_item_that_a_passing_fault_made_missing_is_read_again_by_the_next_job(world, tmp_path, monkeypatch, build):
    whole, out, lost = tmp_path / "whole.json", tmp_path / "x.json", world.rows[1]["cover"]
    build(*world.arguments("image", whole))
    real, write = apart.outcome, filling.write_unit

    def busy(future, file, seconds):
        return MediaError(file, "too slow", True) if file == lost else real(future, file, seconds)

    def dying(group, rows, *rest):
        if rows.start == 4:
            raise KeyboardInterrupt
        write(group, rows, *rest)

    monkeypatch.setattr(apart, "outcome", busy)
    monkeypatch.setattr(filling, "write_unit", dying)
    with pytest.raises(KeyboardInterrupt):
        build(*world.arguments("image", out))
    monkeypatch.undo()
    build(*world.arguments("image", out))
    assert (tmp_path / "x.missing.csv").read_bytes() == (tmp_path / "whole.missing.csv").read_bytes()
    chunks = {path.relative_to(tmp_path / "whole.zarr") for path in (tmp_path / "whole.zarr").rglob("c/**/*")}
    for chunk in chunks:
        if (tmp_path / "whole.zarr" / chunk).is_file():
            assert (tmp_path / "x.zarr" / chunk).read_bytes() == (tmp_path / "whole.zarr" / chunk).read_bytes()

"""Nothing from outside runs: no pickle is read, no code of a checkpoint; no shell sees data, no path leads away."""

import ast
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
import yaml
from PIL import Image
from safetensors.numpy import load_file

from sanrec.backbones.checkpoints import load_backbone, open_checkpoint
from sanrec.captions.llava import load_model, load_processor
from sanrec.config import Captioner
from sanrec.data.layouts import find_media
from sanrec.demo.llava import build_llava
from sanrec.errors import ConfigError, DataError
from sanrec.files import write_json
from sanrec.load import load_config
from sanrec.media.download import write_checkpoint_manifest

ROOT = Path(__file__).parents[1]
PICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "torch.load", "torch.jit.load", "torch.export.load", "os.system", "os.popen", "eval", "exec",
    "yaml.load", "yaml.load_all",
}  # fmt: skip
NAMES = {
    "read_pickle",
    "to_pickle",
    "unsafe_load",
    "unsafe_load_all",
    "full_load",
    "full_load_all",
}  # of whatever module
WITHOUT_WEIGHTS = ("Config", "Tokenizer", "Processor", "FeatureExtractor")  # classes whose files hold no tensors


def dangers(source: str) -> list[str]:
    """What in a program could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            found += [module for module in modules if module.partition(".")[0] in PICKLING]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            found += [name] if name in CALLS or name.rpartition(".")[2] in NAMES else []
            found += [
                word for word in ("shell", "trust_remote_code", "allow_pickle") if given.get(word, "False") != "False"
            ]
            of, _, method = name.rpartition(".")
            if method == "from_pretrained" and not of.endswith(WITHOUT_WEIGHTS):
                found += [f"{name} without use_safetensors"] if given.get("use_safetensors") != "True" else []
    return found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('x')",
        "np.load('x', allow_pickle=True)",
        "subprocess.run(f'ls {name}', shell=True)",
        "AutoTokenizer.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x')",
        "transformers.LlavaNextForConditionalGeneration.from_pretrained('x', local_files_only=True)",
        "kind.from_pretrained('x', use_safetensors=False)",
        "yaml.unsafe_load(text)",
        "yaml.full_load(text)",
        "from yaml import unsafe_load; unsafe_load(text)",
        "torch.jit.load('x')",
        "torch.export.load('x')",
        "frame.to_pickle('x')",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_is_to_find(line):
    assert dangers(line)


@pytest.mark.parametrize(
    "line",
    [
        "transformers.AutoConfig.from_pretrained('x')",
        "transformers.AutoTokenizer.from_pretrained('x')",
        "transformers.LlavaNextProcessor.from_pretrained('x')",
        "AutoModel.from_pretrained('x', use_safetensors=True)",
        "yaml.safe_load(text)",
        "subprocess.run(words, shell=False)",
    ],
)
def test_the_search_lets_through_what_is_safe(line):
    assert dangers(line) == []


def test_no_line_of_ours_can_run_what_it_reads():
    files = [p for part in ("src", "workflow") for p in (ROOT / part).rglob("*.py")]
    assert len(files) > 100
    found = {str(p.relative_to(ROOT)): dangers(p.read_text(encoding="utf-8")) for p in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_every_rule_quotes_what_it_gives_to_the_shell():
    commands = [
        (path.name, body.partition("shell:\n")[2])
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for body in path.read_text(encoding="utf-8").split("\nrule ")[1:]
    ]
    assert len(commands) > 20
    for name, command in commands:
        assert command.strip().startswith('"python -m sanrec --log {log:q} '), name
        inside = re.findall(r"\{([^}]*)\}", command.partition("\n\n")[0])
        assert all(part.endswith(":q") for part in inside), f"{name}: {command}"


def tiny_bert(folder: Path) -> None:
    """A checkpoint of a real class, with its tokenizer."""
    torch.manual_seed(0)
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "touch"])}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)


def tiny_vit(folder: Path) -> None:
    """A checkpoint of a real class, with its preprocessor."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=8, **sizes)).save_pretrained(folder)
    shape = {"size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    write_json(folder / "preprocessor_config.json", {"image_processor_type": "ViTImageProcessor", **shape})


OWN = ("methods", "user_encoders")


class Planted:
    """What unpickling would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


def planted_checkpoint(folder: Path, mark: Path) -> Path:
    """A BERT whose folder also holds pickled weights and a module of its own, both of which leave a mark where run."""
    tiny_bert(folder)
    return plant(folder, mark)


def plant(folder: Path, mark: Path) -> Path:
    """Put pickled weights and a module, both of which leave a mark where run, into a checkpoint's folder."""
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Planted(mark)))
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Evil: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = dict.fromkeys(("AutoConfig", "AutoModel", "AutoProcessor"), "evil.Evil")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_planted_pickle_would_work(tmp_path):
    planted_checkpoint(tmp_path / "model", tmp_path / "mark")
    pickle.loads((tmp_path / "model" / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "mark").is_dir()


def test_planted_pickles_and_code_do_not_run_beside_good_weights(tmp_path):
    folder = planted_checkpoint(tmp_path / "model", tmp_path / "mark")
    write_checkpoint_manifest(tmp_path / "m.json", folder, {})
    model = load_backbone(tmp_path / "m.json")
    names = {name.removeprefix("bert.") for name in load_file(folder / "model.safetensors")}
    assert {name for name, _ in model.named_parameters()} <= names
    assert not (tmp_path / "mark").exists()


def test_planted_pickles_alone_are_refused(tmp_path):
    folder = planted_checkpoint(tmp_path / "model", tmp_path / "mark")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"no \*\.safetensors but pytorch_model\.bin"):
        write_checkpoint_manifest(tmp_path / "m.json", folder, {})
    write_json(tmp_path / "m.json", {"folder": str(folder)})  # a manifest that somebody wrote by hand
    with pytest.raises(DataError, match="pickled ones never"):
        load_backbone(tmp_path / "m.json")
    (folder / "model.safetensors").write_bytes((folder / "pytorch_model.bin").read_bytes())  # or renamed the file
    with pytest.raises(Exception, match=r"(?i)safetensors|header"):
        load_backbone(tmp_path / "m.json")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("left", [True, False], ids=["beside good weights", "alone"])
def test_planted_pickles_and_code_of_a_captioner_do_not_run(tmp_path, left):
    folder, manifest = tmp_path / "llava", tmp_path / "m.json"
    model, _ = build_llava(folder, patch=16)
    model.save_pretrained(folder)
    plant(folder, tmp_path / "mark")
    write_json(manifest, {"folder": str(folder)})
    record = Captioner(prompts={}, source="folder", checkpoint=str(folder), dtype="float32")

    def load():
        checkpoint = open_checkpoint(manifest)
        return load_processor(checkpoint, load_model(checkpoint, record, torch.device("cpu")))

    if left:
        load()
    else:
        weights = folder / "model.safetensors"
        weights.unlink()
        with pytest.raises(DataError, match="pickled ones never"):
            load()
        with pytest.raises(DataError, match=r"no \*\.safetensors but pytorch_model\.bin"):
            write_checkpoint_manifest(manifest, folder, {})
        weights.write_bytes((folder / "pytorch_model.bin").read_bytes())  # renamed
        with pytest.raises(Exception, match=r"(?i)safetensors|header"):
            load()
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "$(touch x)", "a;b", "", ".hidden", "-rf", "a\nb", "ID+T", 7])
@pytest.mark.parametrize("kind", ["backbones", "corpora", "datasets", "studies", "captioners", *OWN])
def test_names_of_entries_stay_within_their_folder(kind, name):
    with pytest.raises(ConfigError, match=f"{kind}.*is no name"):
        load_config({kind: {name: {"code": "my.py:Mine", "title": "Mine"} if kind in OWN else {}}})


HOSTILE = [
    "$(touch${IFS}pwned)", "`touch${IFS}pwned`", ";touch${IFS}pwned;", "|touch${IFS}pwned", "&&touch${IFS}pwned",
    "'", '"', "''", '"";', "../../secret", "..", ".", "/etc/passwd", "~root", "-rf", "--help", "*", "?", "[a]",
    "{wildcards.seed}", "{}", "%s%n", "a,b", "a\\b", "\\x00", "#", "NULL", "NaN", "None", "1e5", "007",
    "\u202egnp.exe", "\u0663", "e\u0301", "\u00e9", "<script>alert(1)</script>", "=1+1", "@SUM(1)",
]  # fmt: skip
TITLES = [
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "{wildcards}",
    "../../secret",
    "\x1b[2J",
]


@pytest.mark.slow
def test_hostile_ids_and_titles_reach_no_shell_and_no_path(tmp_path):
    """A data set of such ids, and of covers named by them, from files to a trained run and a page of pictures."""
    rng = np.random.default_rng(0)
    raw = tmp_path / "raw"
    (raw / "covers").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"not to be read")
    lines = [f"{item}\t{TITLES[n % len(TITLES)]}" for n, item in enumerate(HOSTILE)]
    (raw / "items.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    users = [f"user{item}" for item in HOSTILE] + [f"u{n}" for n in range(40)]
    pairs = [f"{user}\t{' '.join(rng.permutation(HOSTILE)[:8])}" for user in users]
    (raw / "pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    pictured = {item for item in HOSTILE if "/" not in item}
    for item in pictured:
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(raw / "covers" / f"{item}.jpg", "JPEG")
    broken = HOSTILE[1]
    (raw / "covers" / f"{broken}.jpg").write_bytes(b"no picture")
    tiny_bert(tmp_path / "bert")
    tiny_vit(tmp_path / "vit")
    short = {"adapter_width": 8, "blocks": 2, "batch_size": 16, "max_epochs": 2, "patience": 2}
    config = {
        "corpora": {"odd": {"title": "Odd; touch pwned", "layout": "amazon", "folder": "raw", "titles": "items.tsv",
                            "covers": "covers", "videos": None, "audios": None, "missing_limit": 1.0}},
        "datasets": {"odd": {"title": "$(touch pwned)", "corpus": "odd", "pairs": "pairs.tsv",
                             "backbones": {"title": "own", "cover": "eye"}, "settings": {"all": short}}},
        "backbones": {"own": {"modality": "text", "source": "folder", "checkpoint": "bert", "width": 16, "blocks": 2,
                             "pooling": "first"},
                      "eye": {"modality": "image", "source": "folder", "checkpoint": "vit", "width": 16, "blocks": 2,
                             "pooling": "first"}},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    run = "results/odd/runs/crossan/TI/default/seed=0"
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    env = {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}
    before = set(tmp_path.parent.iterdir())
    targets = [f"{run}/metrics.json", "results/odd/media-report.csv"]
    page = ["recommend", run, "--user", users[0], "--k", "30", "--out", "page.html"]
    for words in ([*command, "--cores", "2", *targets], [sys.executable, "-m", "sanrec", *page]):
        source = env | {"PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(words, capture_output=True, text=True, env=source, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.rglob("pwned*"))
    assert not list(Path.cwd().glob("pwned"))
    assert set(tmp_path.parent.iterdir()) == before
    items = pd.read_parquet(tmp_path / "results/odd/items.parquet")
    assert items["item"].tolist() == HOSTILE
    covers = items.set_index("item")["cover"]
    assert set(covers.dropna().index) == pictured  # ../../secret.jpg is no item's
    report = pd.read_csv(tmp_path / "results/odd/media-report.csv", keep_default_na=False)
    reasons = dict(zip(report["item"], report["reason"], strict=True))
    assert set(reasons) == {broken, *HOSTILE} - (pictured - {broken})
    assert reasons[broken].startswith("does not decode")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") > 10
    assert "<script>alert(1)" not in html
    ranks = pd.read_parquet(tmp_path / run / "ranks.parquet")
    assert set(ranks["user"]) == set(users)


def test_a_file_outside_is_no_items_medium(tmp_path, monkeypatch):
    (tmp_path / "covers").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    for name in ("'.jpg", "$(touch pwned).jpg", "-rf.jpg", "\u202egnp.jpg"):
        (tmp_path / "covers" / name).write_bytes(b"x")
    found = find_media(tmp_path / "covers", "cover")
    assert set(found) == {"'", "$(touch pwned)", "-rf", "\u202egnp"}
    assert all((tmp_path / "covers" / name).is_file() and os.sep not in name for name in found.values())
    shutil.rmtree(tmp_path / "covers")

"""The download steps: a corpus' raw files, and pretrained checkpoints. The only steps that reach the network.

What is there already is checked and kept. Weights are safetensors: no pickle is ever fetched or accepted.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sanrec.artifacts import store_of
from sanrec.config import Backbone, Captioner, Corpus, Download
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json, sha256, write_json
from sanrec.media.archives import unpack
from sanrec.media.web import redact, retrieve
from sanrec.progress import LogLines, watched
from sanrec.versions import STEPS

CHECKPOINT_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

log = logging.getLogger(__name__)


# -- corpora -----------------------------------------------------------------------------------------------------------


def fetch_corpus(corpus: Corpus, manifest: str | Path, name: str = "NAME") -> None:
    """Have a corpus' files in its folder, and write a manifest of them last.

    Each download is taken from the folder where it is there, else from the first of its addresses that gives it with
    the right checksum; archives are unpacked beside themselves. The manifest holds the folder, each download's bytes
    and sha256, the size of every file of the corpus, and what is configured but missing; files whose names are no
    UTF-8 are no item's, and left out with a warning. Raises DataError where a download has no source left or a wrong
    checksum, and where the titles file is missing after all; ConfigError where a download's path leads out of the
    folder. `name` is the corpus' name in config, for messages.
    """
    folder = Path(corpus.folder)
    downloads = []
    for position, download in enumerate(corpus.downloads):
        path = _fetch(download, folder, f"corpora.{name}.downloads[{position}]")
        entry = {"file": download.file, "bytes": path.stat().st_size, "sha256": download.sha256 or sha256(path)}
        downloads.append(entry | {"urls": [redact(url) for url in download.urls]})
        if download.unpack:
            downloads[-1]["unpacked"] = unpack(path, path.parent)
    _require_titles(corpus, name)
    files: dict[str, int] = {}
    missing, no_text = [], []
    for part in filter(None, (corpus.titles, corpus.covers, corpus.videos, corpus.audios)):
        place = folder / part
        found = sorted(path for path in place.iterdir() if path.is_file()) if place.is_dir() else [place]
        if not place.exists():
            missing.append(part)
            continue
        for path in found:
            file = Path(os.path.relpath(path, folder)).as_posix()
            if _is_text(file):
                files[file] = path.stat().st_size
            else:
                no_text.append(file)
    if no_text:
        log.warning(
            "corpus '%s': left out for names that are no UTF-8: %d, the first is %s; rename them by their items' ids",
            name,
            len(no_text),
            os.fsencode(no_text[0]).decode(errors="backslashreplace"),
        )
    record = {
        "folder": corpus.folder,
        "downloads": downloads,
        "files": files,
        "missing": missing,
        "version": STEPS["download"],
    }
    write_json(manifest, record)


def _is_text(name: str) -> bool:
    """Whether the bytes of a file's name are UTF-8: Python puts surrogates for those that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fetch(download: Download, folder: Path, key: str) -> Path:
    """The path of a download in the folder, fetched where it is not there, its checksum checked where one is given."""
    inside = PurePosixPath(download.file)
    if inside.is_absolute() or ".." in inside.parts or not inside.name:
        raise ConfigError(f"{key}.file: '{download.file}' must be a path below the corpus' folder")
    path = folder / inside
    if path.is_dir():
        raise DataError(f"{path}: is a folder, but '{key}.file' names it as a file; name the file, or move the folder")
    if not path.exists():
        retrieve(path, download.urls, download.sha256, f"{key}.urls")
    elif download.sha256 not in (None, found := sha256(path)):
        raise DataError(
            f"{path}: its sha256 is {found}, but config says {download.sha256}. If the file is damaged, delete it to "
            f"have it fetched again; if it is another edition that you mean to use, correct '{key}.sha256'"
        )
    else:
        log.info("%s is there already", path)
    return path


def _require_titles(corpus: Corpus, name: str) -> None:
    """Raise DataError where the folder or its titles file is missing, saying what belongs there."""
    folder = Path(corpus.folder)
    if corpus.titles is None and folder.is_dir():
        return
    if corpus.titles is not None and (folder / corpus.titles).is_file():
        return
    listed = f"{corpus.titles} (item ids and titles), " if corpus.titles else ""
    kinds = {"cover images": corpus.covers, "videos": corpus.videos, "sound files": corpus.audios}
    media = "".join(f", {part}/ ({kind} named by item id)" for kind, part in kinds.items() if part)
    raise DataError(
        f"corpus '{name}': {f'no {corpus.titles} in' if folder.is_dir() else 'no folder'} {folder.absolute()}. It "
        f"should hold {listed}the pairs files of its data sets{media}. Put them there, "
        f"or set config key 'corpora.{name}.folder' to where they are, 'corpora.{name}.titles' to the file's name, or "
        f"'corpora.{name}.downloads' to where they can be fetched from"
    )


# -- checkpoints -------------------------------------------------------------------------------------------------------


def fetch_checkpoint(
    backbone: Backbone | Captioner, name: str, manifest: str | Path, endpoint: str | None = None
) -> None:
    """Have the checkpoint of a backbone or captioner in a folder, its manifest last (`write_checkpoint_manifest`).

    Source `hub`: the pinned revision's configuration, tokenizer and safetensors, into the folder beside the manifest;
    what is there already is not fetched again. Source `folder`: used where it lies. `endpoint` is another hub's
    address (otherwise HF_ENDPOINT counts, as everywhere). Raises DataError where the hub does not give it, saying what
    to fetch by hand, and where the folder is no checkpoint with safetensors; ConfigError where no revision is pinned.
    The demo's are made by its own step.

    The client sends the token in the environment variable HF_TOKEN, or that of `hf auth login`. It is never printed.
    """
    extra = {"source": backbone.source, "checkpoint": backbone.checkpoint, "revision": backbone.revision}
    if backbone.source == "demo":
        what = backbone.table.removesuffix("s")
        raise ConfigError(f"{what} '{name}' is the demo's: it is made by its own step, there is nothing to download")
    if backbone.source == "folder":
        folder = backbone.checkpoint
        if not Path(folder).is_dir():
            raise DataError(
                f"{Path(folder).absolute()}: no such folder. It should hold a checkpoint (config.json, "
                f"*.safetensors); config key '{backbone.table}.{name}.checkpoint' names it"
            )
    else:
        folder = store_of(str(manifest))
        _snapshot(backbone.pinned(name), name, Path(folder), endpoint)
    write_checkpoint_manifest(manifest, folder, extra | {"license": backbone.license})


def _snapshot(backbone: Backbone | Captioner, name: str, folder: Path, endpoint: str | None) -> None:
    """Fetch the revision's files into `folder`. Raises DataError where the hub does not give them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    repository, revision = backbone.checkpoint, backbone.revision
    try:
        # files in subfolders are other formats' or other models'
        snapshot_download(
            repository, revision=revision, local_dir=folder, endpoint=endpoint,
            allow_patterns=list(CHECKPOINT_FILES), ignore_patterns=["*/*"],
            tqdm_class=None if watched() else LogLines,
        )  # fmt: skip
    except Exception as error:  # the client lets through errors of several libraries below it
        if isinstance(error.__cause__, HfHubHTTPError):
            error = error.__cause__  # "nothing on this disk either" hides what the hub answered
        refused = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
        if isinstance(error, GatedRepoError) or (backbone.gated and refused):
            why = (
                f"its owner asks to accept terms first ({backbone.license}): do so on "
                f"https://huggingface.co/{repository}, with your account; make a token that may read at "
                "https://huggingface.co/settings/tokens; and give it to this job as the environment variable HF_TOKEN, "
                "or by `hf auth login` (docs/backbones.md)"
            )
        elif isinstance(error, RevisionNotFoundError):
            why = "the repository has no such revision"
        elif isinstance(error, RepositoryNotFoundError):
            why = "there is no such repository, or it is private (a token in HF_TOKEN, or `hf auth login`)"
        elif isinstance(error, HfHubHTTPError):
            why = f"the hub answered HTTP {error.response.status_code}"
        else:
            why = f"the hub cannot be reached, broke off, or is switched off by HF_HUB_OFFLINE ({type(error).__name__})"
        raise DataError(
            f"{backbone.table}.{name}: {repository} at revision {revision} could not be fetched: {why}. By hand: fetch "
            f"config.json, the tokenizer's or preprocessor's json and txt files and *.safetensors from "
            f"https://huggingface.co/{repository}/tree/{revision}, put them in a folder, and in config set "
            f"'{backbone.table}.{name}.source' to folder and '{backbone.table}.{name}.checkpoint' to that folder"
        ) from error
    # without an answer the client settles for whatever lies in the folder, be it of another revision
    for note in sorted((folder / ".cache" / "huggingface" / "download").glob("*.metadata")):
        found = note.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        if found != revision and (folder / note.stem).exists():
            raise DataError(
                f"{folder / note.stem}: is of revision {found}, config asks for {revision}, and the hub was not there "
                f"to give it. Delete {folder} and try again with network"
            )


def write_checkpoint_manifest(manifest: str | Path, folder: str | Path, extra: Mapping[str, Any]) -> None:
    """Check a checkpoint's folder and write its manifest: `folder`, `files` (name to sha256), and what `extra` says.

    Extraction loads from `folder`. Raises DataError where the folder has no config.json, no safetensors, or a weights
    file that is damaged or only a part.
    """
    folder = Path(folder)
    present = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    if "config.json" not in present:
        raise DataError(f"{folder}: no config.json; a checkpoint folder, as save_pretrained writes it, has one")
    weights = sorted(name for name in present if name.endswith(".safetensors"))
    wanted = set(weights)
    for index in (name for name in present if name.endswith(".safetensors.index.json")):
        try:
            wanted |= set(read_json(folder / index)["weight_map"].values())
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(
                f"{folder / index}: is no index of weights (json with a weight_map); fetch it again"
            ) from None
    if lacking := sorted(wanted - present):
        raise DataError(f"{folder}: its index names {', '.join(lacking)}, which is not there; fetch the missing part")
    if not weights:
        pickles = [f" but {name}" for name in sorted(present) if name.endswith(PICKLES)]
        raise DataError(
            f"{folder}: no *.safetensors{''.join(pickles[:1])}. Pickled weights (.bin, .pt) can "
            "run code when loaded and are not read: take a revision that has safetensors, or convert them where you "
            "trust the file (load, then save_pretrained) and give that folder as the checkpoint"
        )
    for name in weights:
        _check_safetensors(folder / name)
    kept = sorted(name for name in present if any(PurePosixPath(name).match(kind) for kind in CHECKPOINT_FILES))
    files = {name: sha256(folder / name) for name in kept}
    write_json(manifest, {"folder": folder.as_posix(), "files": files, **extra, "version": STEPS["download"]})


def _check_safetensors(path: Path) -> None:
    """Raise DataError where the file's header does not fit its length, as after a broken copy."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            file.keys()
    except SafetensorError as error:
        raise DataError(f"{path}: damaged or not whole ({error}); fetch it again") from None

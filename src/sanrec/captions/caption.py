"""The captioning step: one row per item, whatever became of it, in a table that a killed job goes on with.

Items are described in batches of neighbours in the item table, whatever is missing among them: so the batches, and with
them the captions to the last word, are the same whether a job was killed or not. What was said of a batch is kept for
the next time that the table is made, when other items may have come.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from sanrec import artifacts
from sanrec.backbones.checkpoints import open_checkpoint
from sanrec.backbones.extract import chosen_device, torch_threads
from sanrec.backbones.shards import WHOLE, Shard
from sanrec.backbones.sources import MissingMedia, Reading, Sources, read_ahead, read_sources
from sanrec.backbones.store import canonical, differences, fingerprint
from sanrec.captions.llava import Llava
from sanrec.captions.partial import Batches, Partial, read_batches
from sanrec.captions.prompts import Prompt, load_prompt
from sanrec.config import Captioner, Config
from sanrec.errors import StoreError
from sanrec.files import atomic, read_json
from sanrec.media import MediaError
from sanrec.progress import bar
from sanrec.versions import STEPS

SCHEMA = pa.schema([
    ("item", pa.string()),
    ("caption", pa.string()),  # null where there is none
    ("state", pa.string()),  # one of STATES
    ("reason", pa.string()),  # why there is none
    ("prompt_hash", pa.string()),
    ("captioner", pa.string()),
    ("tokens", pa.int32()),
])  # fmt: skip
PRESENT, MISSING, EMPTY, FAILED = STATES = ("present", "missing", "empty", "failed")
"""There is a caption; the item has no cover or video; the model said nothing; the file or the model failed."""
IDENTITY = b"sanrec.identity"  # where the table's metadata say what made it
AGAIN = "again"  # marks what a job that goes on tries once more: next time there may be memory or time enough
LONGEST_REASON = 300  # characters
Row = dict[str, Any]

log = logging.getLogger(__name__)


class Describing(Protocol):
    """What this step asks of a captioner; `llava.Llava` is one."""

    @property
    def read(self) -> Callable[[str], Any]:
        """A function from a file to its pictures, which can be pickled. Raises MediaError for a bad one."""

    def describe(self, pictures: Sequence[Any], seed: int) -> list[tuple[str, int]]:
        """The captions of some items' pictures, with their lengths in tokens."""


def caption_corpus(
    config: Config,
    corpus: str,
    medium: str,
    items_path: str | Path | None = None,
    checkpoint_manifest: str | Path | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    shard: Shard = WHOLE,
) -> Path:
    """Write the captions of a corpus' covers or videos (`medium`): columns as in SCHEMA, a row per item, in its order.

    Paths and device are those of the workflow and of `config` unless given. Which items have no caption, and why, is
    listed in `{medium}.missing.csv` beside the table too. Returns the table's path.

    What was said before of batches whose items are still the same is taken from `{medium}.batches.jsonl` there.

    Where several jobs share a corpus, each with its `shard` writes the batches that are its own to a file of its own,
    whose path it returns; one without a shard gathers these, does what is lacking, and writes the table.

    Raises DataError where more items stay without a caption than `missing_limit` of the corpus allows; StoreError
    where captions made by other settings are in the way; ConfigError or DataError for prompts and checkpoints.
    """
    name = config.find_captioner(corpus, medium)
    record = config.captioners[name]
    prompt = load_prompt(record.prompts[medium])
    manifest = Path(checkpoint_manifest or artifacts.checkpoint(name))
    out = Path(out or artifacts.captions(corpus, medium))
    sources = read_sources(items_path or artifacts.items(corpus), medium)
    starts = range(0, len(sources), record.batch_size)
    batches = [range(start, min(start + record.batch_size, len(sources))) for start in starts]
    data = {batch.start: sources.some(batch).fingerprint() for batch in batches}
    model_by = identity(name, record, prompt, manifest)
    made_by = model_by | {"data": fingerprint(data)}
    if shard == WHOLE and out.is_file():  # it may be an old one that the job after the shards is to replace
        _refuse_other_captions(out, made_by)
        log.info("%s is finished, with these settings", out)
        return out
    kept_file, shares = out.with_suffix(".batches.jsonl"), out.parent / "shards" / medium
    share = shares / f"{shard}.jsonl"
    # Snakemake takes a failed job's outputs away: what is not finished lies under another name.
    partial = Partial(kept_file if shard == WHOLE else shares / f".{share.name}", model_by, data)
    own = {batch.start for place, batch in enumerate(batches) if shard.owns(place)}
    for file in (kept_file, *sorted(shares.glob("[!.]*.jsonl"))):
        there = _settled(read_batches(file, model_by, data)[0])
        partial.add({first: there[first] for first in sorted(own & (there.keys() - _settled(partial.batches).keys()))})
    missing = MissingMedia(
        sources, corpus, config.find("corpus", corpus).missing_limit, out.with_suffix(".missing.csv")
    )
    missing.add_absent()
    kept = _settled(partial.batches)
    for first, rows in kept.items():
        _note(missing, first, rows)
    if kept:
        log.info("going on with %s, where %d of %d items are done", partial.path, _count(kept), len(sources))
    todo = [batch for batch in batches if batch.start in own - kept.keys()]
    with torch_threads(config.threads.extract):
        if todo:
            llava = Llava(manifest, record, medium, prompt, chosen_device(device or config.device))
            seconds = config.corpora[corpus].seconds_per_item
            for first, rows in describe_batches(llava, sources, todo, config.threads.extract, seconds):
                partial.add({first: rows})
                _note(missing, first, rows)
    if shard != WHOLE:
        partial.path.replace(share)
        return share
    missing.write()
    write_captions(out, sources, partial.rows(), name, prompt, made_by)
    return out


def identity(name: str, record: Captioner, prompt: Prompt, manifest: Path) -> dict[str, Any]:
    """All that decides the captions but the data: the captioner and its settings, the prompt and the checkpoint."""
    settings = record.model_dump(exclude={"prompts", "license", "gated", "device_map", "shards"})
    files = read_json(manifest).get("files") if manifest.is_file() else None
    return {
        "captioner": name,
        "settings": settings | {"step_version": STEPS["caption"]},
        "prompt_hash": prompt.digest,
        # a large checkpoint was read whole when its manifest was made: once is enough
        "checkpoint_files": files or open_checkpoint(manifest).digests(),
    }


def _settled(batches: Batches) -> Batches:
    """The batches of which no item is to be tried again."""
    return {first: rows for first, rows in batches.items() if not any(row[AGAIN] for row in rows)}


def _refuse_other_captions(path: Path, made_by: dict[str, Any]) -> None:
    """Raise StoreError where finished captions were made by other settings."""
    stored = json.loads((pq.read_schema(path).metadata or {}).get(IDENTITY, b"{}"))
    if found := differences(stored, canonical(made_by)):
        raise StoreError(
            f"{path} was made by other settings: {'; '.join(found)}. Put the settings back, or remove {path} to have "
            "the captions made anew"
        )


def describe_batches(
    llava: Describing, sources: Sources, todo: Sequence[range], threads: int, seconds: float
) -> Iterator[tuple[int, list[Row]]]:
    """The rows of each batch of items, with the position of its first; files are read ahead while the model writes."""
    items, largest = [item for batch in todo for item in batch], max(map(len, todo))
    reading = Reading(llava.read, threads, seconds)
    with (
        closing(read_ahead(sources, items, reading, 2 * largest + reading.workers)) as files,
        bar(total=len(sources), initial=len(sources) - len(items), unit="item", desc=sources.channel) as progress,
    ):
        for batch in todo:
            found = [next(files)[1] for _ in batch]
            usable = [one for one in found if not isinstance(one, MediaError)]
            answers = iter(answer(llava, usable, batch.start))
            yield batch.start, [_unread(one) if isinstance(one, MediaError) else next(answers) for one in found]
            progress.update(len(batch))


def answer(llava: Describing, pictures: Sequence[Any], seed: int) -> list[Row]:
    """What the model says of n items. Where it fails over them together, each is tried alone, and may fail alone."""
    if not pictures:
        return []
    try:
        said = llava.describe(pictures, seed)
    except (RuntimeError, ValueError) as error:  # no memory left, a shape that it cannot cut, too many tokens
        why = " ".join(str(error).split())[:LONGEST_REASON]
        if len(pictures) == 1:
            return [_row(None, FAILED, f"the model failed ({type(error).__name__}: {why})", again=True)]
        log.warning("a batch of %d failed and is done item by item (%s: %s)", len(pictures), type(error).__name__, why)
        return [row for one in pictures for row in answer(llava, [one], seed)]
    nothing = "the model said nothing"
    return [_row(text, PRESENT, None, n) if text else _row(None, EMPTY, nothing, n) for text, n in said]


def _unread(error: MediaError) -> Row:
    return _row(None, FAILED if error.file else MISSING, error.reason, again=error.passing)


def _row(caption: str | None, state: str, reason: str | None, tokens: int = 0, again: bool = False) -> Row:
    return {"caption": caption, "state": state, "reason": reason, "tokens": tokens, AGAIN: again}


def _note(missing: MissingMedia, first: int, rows: Sequence[Row]) -> None:
    """Count the items that have no caption though they have a file. Raises DataError where there are too many."""
    for item, row in enumerate(rows, first):
        if row["state"] in (EMPTY, FAILED):
            missing.add(item, MediaError(missing.sources.values[item], row["reason"]))


def _count(batches: dict[int, list[Row]]) -> int:
    return sum(map(len, batches.values()))


def write_captions(
    out: Path, sources: Sources, rows: Sequence[Row], captioner: str, prompt: Prompt, made_by: dict[str, Any]
) -> None:
    """Write the table of captions, with what made them among its metadata."""
    told = [{"item": item, **row} for item, row in zip(sources.items, rows, strict=True)]
    columns = {name: [row[name] for row in told] for name in ("item", "caption", "state", "reason", "tokens")}
    columns |= {"prompt_hash": [prompt.digest] * len(told), "captioner": [captioner] * len(told)}
    table = pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)
    with atomic(out) as temporary:
        pq.write_table(table.replace_schema_metadata({IDENTITY: json.dumps(canonical(made_by))}), temporary)
    counts = {state: columns["state"].count(state) for state in STATES}
    log.info("%s: %s", out, ", ".join(f"{count} {state}" for state, count in counts.items()))

"""Fetch a file from the first of its addresses that gives it: mirrors, resumption, checksum.

Addresses are printed without passwords and queries, which may hold tokens.
"""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pooch
import requests

from sanrec.errors import DataError
from sanrec.files import read_json, write_json
from sanrec.progress import bar, watched

TIMEOUT = (20, 60)  # seconds to connect, and without a byte
ATTEMPTS = 5  # per address; each goes on where the last one broke off
PIECE = 1 << 20

log = logging.getLogger(__name__)


def retrieve(path: Path, urls: Sequence[str], checksum: str | None, key: str) -> None:
    """Fetch `path` from the first of `urls` that gives it with the right sha256 (any, where None).

    The file appears under its name only when it is whole. Raises DataError where every address fails, with the reason
    of each and what to fetch by hand; `key` is the config key that holds the addresses.
    """
    failures = []
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # below that it prints addresses with all they hold
    try:
        for url in urls:
            log.info("fetch %s from %s", path, redact(url))
            try:
                pooch.retrieve(url, checksum, path.name, path.parent, downloader=_downloader(url, path))
            except requests.HTTPError as error:
                failures.append(f"{redact(url)}: HTTP {error.response.status_code} {error.response.reason}")
            except requests.RequestException as error:
                failures.append(f"{redact(url)}: no answer, or not to its end ({type(error).__name__})")
            except OSError as error:
                failures.append(f"{redact(url)}: {error.strerror or type(error).__name__}")
            except ValueError as error:  # pooch: another checksum, or an address of a kind that it does not know
                wrong = "hash" in str(error).lower()
                failures.append(f"{redact(url)}: {'its sha256 is not the given one' if wrong else 'no valid address'}")
            else:
                for left in _parts(path):  # of an earlier address
                    left.unlink(missing_ok=True)
                return
    finally:
        logger.setLevel(level)
    expected = f" (sha256 {checksum})" if checksum else ""
    raise DataError(
        f"{path}: could not be fetched. {'; '.join(failures) or f'{key} is empty'}. Fetch it by hand{expected} and "
        f"put it at {path.absolute()}, or give an address that works in '{key}'"
    )


def redact(url: str) -> str:
    """An address without user, password, query and fragment: what may be printed and kept."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _downloader(url: str, path: Path) -> Any:
    """What brings the address' bytes: resuming for the web, copying for a local file, else pooch's own choice."""
    scheme = urlsplit(url).scheme.lower()
    if scheme in ("http", "https"):
        return lambda url, output, _: _resume(url, Path(output), path)
    if scheme in ("", "file"):
        return lambda url, output, _: shutil.copyfile(unquote(urlsplit(url).path) if scheme else url, output)
    return pooch.core.choose_downloader(url, progressbar=watched())


def _parts(path: Path) -> tuple[Path, Path]:
    """Where the unfinished download of `path` and what is known of it are kept."""
    return path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")


def _resume(url: str, output: Path, path: Path) -> None:
    """Fetch an address into `output`, by way of `{path}.part`, which outlives a broken connection or a killed job.

    The part is taken up again only from the same address, and only where the server confirms (If-Range) that it still
    has the same file.
    """
    part, note = _parts(path)
    address = hashlib.sha256(url.encode()).hexdigest()  # not the address itself: it may hold a token
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch_rest(url, part, note, address)
            break
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            after = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS - 1 or after <= before:
                raise
            log.info("%s broke off after %d bytes, going on", redact(url), after)
    part.replace(output)
    note.unlink(missing_ok=True)


def _fetch_rest(url: str, part: Path, note: Path, address: str) -> None:
    """One request for what the part still lacks, or for the whole file."""
    known = read_json(note) if note.exists() and part.exists() else {}
    done = part.stat().st_size if known.get("address") == address and known.get("validator") else 0
    # a compressed answer could not be resumed, and its length says nothing
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": known["validator"]}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416 and answer.headers.get("Content-Range") == f"bytes */{done}":
            return  # the part was whole, the job was killed before the last step
        if answer.status_code == 416 and done:
            part.unlink()
            return _fetch_rest(url, part, note, address)
        answer.raise_for_status()
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        etag = answer.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
        if not goes_on:
            part.unlink(missing_ok=True)
            done = 0
            write_json(note, {"address": address, "validator": strong})
        length = int(answer.headers["Content-Length"]) + done if "Content-Length" in answer.headers else None
        progress = bar(desc=part.stem, total=length, initial=done, unit="B", unit_scale=True)
        with progress, part.open("ab") as file:
            for piece in answer.iter_content(PIECE):
                file.write(piece)
                progress.update(len(piece))

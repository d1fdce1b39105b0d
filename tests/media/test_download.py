"""The download steps against servers on this machine: mirrors, checksums, resumption, archives, a hub."""

import errno
import gzip
import hashlib
import io
import json
import logging
import os
import stat
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest
from safetensors.numpy import save_file

from sanrec.config import Backbone, Corpus
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json
from sanrec.media import archives
from sanrec.media.archives import unpack
from sanrec.media.download import fetch_checkpoint, fetch_corpus, write_checkpoint_manifest
from sanrec.media.web import redact

TITLES = b"item,title\n1,one\n2,two\n"
BIG = bytes(np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8))


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Site:
    """What a test's server serves: path to bytes or status, headers by path; it notes each request's headers."""

    def __init__(self):
        self.files, self.headers, self.asked, self.break_after, self.ranges = {}, {}, [], {}, True

    def answer(self, request):
        path = request.path.partition("?")[0]
        self.asked.append((path, dict(request.headers)))
        content = self.files.get(path, 404)
        if isinstance(content, int):
            request.send_response(content)
            for key, value in self.headers.get(path, {}).items():
                request.send_header(key, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = 0
        etag = f'"{digest(content)}"'
        wanted = request.headers.get("Range")
        if wanted and self.ranges and request.headers.get("If-Range") in (None, etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-").split("-")[0])
            if start >= len(content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(content)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(content) - start))
        for key, value in self.headers.get(path, {}).items():
            request.send_header(key, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        end = self.break_after.pop(path, None)
        request.wfile.write(content[start:end])
        if end is not None:
            request.wfile.flush()
            request.connection.close()


@pytest.fixture
def site():
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def do_HEAD(self):
            served.answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def corpus(folder, **changes):
    record = {"title": "Mine", "layout": "microlens", "folder": str(folder), "titles": "titles.csv"}
    return Corpus(**(record | changes))


def one(file, *urls, **changes):
    return {"file": file, "urls": urls, **changes}


# -- corpora -----------------------------------------------------------------------------------------------------------


def test_a_local_folder_is_enough(tmp_path):
    folder = tmp_path / "raw"
    (folder / "covers").mkdir(parents=True)
    (folder / "titles.csv").write_bytes(TITLES)
    (folder / "covers" / "1.jpg").write_bytes(b"abc")
    fetch_corpus(corpus(folder, covers="covers", videos="videos"), tmp_path / "m.json", "mine")
    record = read_json(tmp_path / "m.json")
    assert record["folder"] == str(folder)
    assert record["files"] == {"titles.csv": len(TITLES), "covers/1.jpg": 3}
    assert record["missing"] == ["videos"]
    assert record["downloads"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_no_text_is_left_out_and_named(tmp_path, caplog):
    folder = tmp_path / "raw"
    (folder / "covers").mkdir(parents=True)
    (folder / "titles.csv").write_bytes(TITLES)
    for name in (b"1.jpg", b"caf\xe9.jpg"):
        (folder / "covers" / os.fsdecode(name)).write_bytes(b"abc")
    fetch_corpus(corpus(folder, covers="covers"), tmp_path / "m.json", "mine")
    assert read_json(tmp_path / "m.json")["files"] == {"titles.csv": len(TITLES), "covers/1.jpg": 3}
    assert r"covers/caf\xe9.jpg" in caplog.text
    assert "no UTF-8: 1," in caplog.text


@pytest.mark.parametrize("there", [False, True])
def test_without_files_the_error_says_what_to_put_where(tmp_path, there):
    if there:
        (tmp_path / "raw").mkdir()
    with pytest.raises(DataError) as error:
        fetch_corpus(corpus(tmp_path / "raw", covers="covers"), tmp_path / "m.json", "mine")
    for part in (str(tmp_path / "raw"), "titles.csv", "covers/ (cover images", "'corpora.mine.folder'", "no "):
        assert part in str(error.value)
    assert not (tmp_path / "m.json").exists()


def test_the_first_address_that_works_is_taken(tmp_path, site, caplog):
    site.files |= {"/gone": 404, "/broken": 500, "/titles.csv": TITLES, "/wrong": b"something else"}
    urls = [f"{site.url}/{name}" for name in ("gone", "broken", "wrong", "titles.csv?token=SECRET", "never")]
    urls[3] = urls[3].replace("http://", "http://me:PASSWORD@")
    mine = corpus(tmp_path / "raw", downloads=(one("titles.csv", *urls, sha256=digest(TITLES)),))
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3").setLevel("WARNING")
        pooch.get_logger().addHandler(caplog.handler)  # it stands apart from the root logger
        fetch_corpus(mine, tmp_path / "m.json")
        pooch.get_logger().removeHandler(caplog.handler)
    assert (tmp_path / "raw" / "titles.csv").read_bytes() == TITLES
    assert [path for path, _ in site.asked] == ["/gone", "/broken", "/wrong", "/titles.csv"]
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["titles.csv"]  # nothing half done is left
    (record,) = read_json(tmp_path / "m.json")["downloads"]
    assert (record["file"], record["bytes"], record["sha256"]) == ("titles.csv", len(TITLES), digest(TITLES))
    said = caplog.text + (tmp_path / "m.json").read_text()
    assert "SECRET" not in said
    assert "PASSWORD" not in said
    assert f"{site.url}/gone" in said


def test_what_is_there_is_not_fetched_again(tmp_path, site):
    (tmp_path / "titles.csv").write_bytes(TITLES)
    download = one("titles.csv", f"{site.url}/titles.csv", sha256=digest(TITLES))
    fetch_corpus(corpus(tmp_path, downloads=(download,)), tmp_path / "m.json")
    assert site.asked == []
    with pytest.raises(DataError, match=rf"is {digest(TITLES)}, but config says 0000.*downloads\[0\].sha256"):
        fetch_corpus(corpus(tmp_path, downloads=(download | {"sha256": "0" * 64},)), tmp_path / "m.json")
    assert (tmp_path / "titles.csv").read_bytes() == TITLES


def test_a_server_that_has_moved(tmp_path, site):
    dead = "http://127.0.0.1:9/titles.csv?token=SECRET"  # the discard port: nobody listens
    urls = [f"{site.url}/titles.csv", dead, str(tmp_path / "none"), "gopher://x/y"]
    with pytest.raises(DataError) as error:
        fetch_corpus(corpus(tmp_path / "raw", downloads=(one("titles.csv", *urls),)), tmp_path / "m.json", "mine")
    message = str(error.value)
    for part in ("HTTP 404 Not Found", "127.0.0.1:9/titles.csv: no answer", "No such file", "gopher://x/y: no valid"):
        assert part in message
    assert f"put it at {tmp_path / 'raw' / 'titles.csv'}" in message
    assert "'corpora.mine.downloads[0].urls'" in message
    assert "SECRET" not in message
    assert not (tmp_path / "m.json").exists()


def test_wrong_checksum_everywhere(tmp_path, site):
    site.files["/titles.csv"] = TITLES
    download = one("titles.csv", f"{site.url}/titles.csv", sha256="0" * 64)
    with pytest.raises(DataError, match=f"its sha256 is not the given one.*by hand .sha256 {'0' * 64}"):
        fetch_corpus(corpus(tmp_path / "raw", downloads=(download,)), tmp_path / "m.json")
    assert not (tmp_path / "raw" / "titles.csv").exists()


def test_a_local_mirror(tmp_path):
    (tmp_path / "a b.csv").write_bytes(TITLES)
    for number, url in enumerate([str(tmp_path / "a b.csv"), (tmp_path / "a b.csv").as_uri()]):
        fetch_corpus(corpus(tmp_path / f"raw{number}", downloads=(one("titles.csv", url),)), tmp_path / "m.json")
        assert (tmp_path / f"raw{number}" / "titles.csv").read_bytes() == TITLES


@pytest.mark.parametrize("file", ["../titles.csv", "/etc/x", "a/../../b", "."])
def test_a_download_stays_in_its_folder(tmp_path, file):
    with pytest.raises(ConfigError, match=r"downloads\[0\].file.*below the corpus' folder"):
        fetch_corpus(corpus(tmp_path / "raw", downloads=(one(file, "http://127.0.0.1:9/x"),)), tmp_path / "m.json")


def test_redact():
    assert redact("https://u:p@host:8/a/b.zip?sig=x#y") == "https://host:8/a/b.zip"


# -- resumption --------------------------------------------------------------------------------------------------------


def fetch_big(tmp_path, *urls, **changes):
    (tmp_path / "titles.csv").write_bytes(TITLES)
    fetch_corpus(corpus(tmp_path, downloads=(one("big", *urls, **changes),)), tmp_path / "m.json")
    assert (tmp_path / "big").read_bytes() == BIG
    assert not list(tmp_path.glob("big.part*"))


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path, site):
    site.files["/big"] = BIG
    site.break_after["/big"] = 1_700_000
    fetch_big(tmp_path, f"{site.url}/big")
    assert len(site.asked) == 2
    start = int(site.asked[1][1]["Range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 1_700_000


def test_a_killed_download_goes_on_in_the_next_run(tmp_path, site):
    part, note = tmp_path / "big.part", tmp_path / "big.part.json"
    site.files["/big"] = BIG
    url = f"{site.url}/big?token=SECRET"
    part.write_bytes(BIG[:1_000_000])
    note.write_text(json.dumps({"address": digest(url.encode()), "validator": f'"{digest(BIG)}"'}))
    fetch_big(tmp_path, url)
    assert site.asked[0][1]["Range"] == "bytes=1000000-"


@pytest.mark.parametrize("case", ["changed", "other address", "no ranges", "note lost"])
def test_a_part_of_something_else_is_not_used(tmp_path, site, case):
    part, note = tmp_path / "big.part", tmp_path / "big.part.json"
    site.files["/big"] = BIG
    url = f"{site.url}/big"
    part.write_bytes(b"x" * 1_000_000)
    validator = '"old"' if case == "changed" else f'"{digest(BIG)}"'
    address = "http://elsewhere" if case == "other address" else url
    if case != "note lost":
        note.write_text(json.dumps({"address": digest(address.encode()), "validator": validator}))
    site.ranges = case != "no ranges"
    fetch_big(tmp_path, url)


@pytest.mark.parametrize("size", [len(BIG), len(BIG) + 5])
def test_a_part_that_is_whole_or_too_long(tmp_path, site, size):
    site.files["/big"] = BIG
    url = f"{site.url}/big"
    (tmp_path / "big.part").write_bytes((BIG + b"12345")[:size])
    (tmp_path / "big.part.json").write_text(
        json.dumps({"address": digest(url.encode()), "validator": f'"{digest(BIG)}"'})
    )
    fetch_big(tmp_path, url)


def test_a_server_that_always_breaks_off_gives_way_to_the_mirror(tmp_path, site):
    site.files |= {"/big": BIG, "/mirror": BIG}
    site.ranges = False
    breaks = iter(range(100_000, 10_000_000, 1))
    site.break_after = type("Always", (dict,), {"pop": lambda self, k, d: next(breaks) if k == "/big" else None})()
    fetch_big(tmp_path, f"{site.url}/big", f"{site.url}/mirror", sha256=digest(BIG))
    assert site.asked[-1][0] == "/mirror"
    assert len(site.asked) < 10


# -- archives ----------------------------------------------------------------------------------------------------------


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content, changes in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_an_archive_is_unpacked_beside_itself(tmp_path, site):
    make_zip(tmp_path / "z.zip", {"covers/": b"", "covers/1.jpg": b"one", "covers/2.jpg": b""})
    make_tar(tmp_path / "t.tgz", ("./videos", b"", {"type": tarfile.DIRTYPE}), ("./videos/1.mp4", BIG, {}))
    site.files |= {"/z": (tmp_path / "z.zip").read_bytes(), "/t": (tmp_path / "t.tgz").read_bytes(), "/c": TITLES}
    downloads = (
        one("covers.zip", f"{site.url}/z", unpack=True),
        one("sub/videos.tgz", f"{site.url}/t", unpack=True),
        one("titles.csv", f"{site.url}/c"),
    )
    mine = corpus(tmp_path / "raw", covers="covers", videos="sub/videos", downloads=downloads)
    for _ in range(2):  # the second time everything is there
        fetch_corpus(mine, tmp_path / "m.json")
        record = read_json(tmp_path / "m.json")
        assert record["missing"] == []
        assert [entry.get("unpacked") for entry in record["downloads"]] == [2, 1, None]
        files = {"titles.csv": len(TITLES), "covers/1.jpg": 3, "covers/2.jpg": 0, "sub/videos/1.mp4": len(BIG)}
        assert record["files"] == files
        assert (tmp_path / "raw" / "sub" / "videos" / "1.mp4").read_bytes() == BIG
    assert len(site.asked) == 3


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "a\\..\\evil", "a\nb"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_elsewhere(tmp_path, name, kind):
    if kind == "zip":
        path = make_zip(tmp_path / "a.zip", {"good": b"x", name: b"evil"})
    else:
        path = make_tar(tmp_path / "a.tar.gz", ("good", b"x", {}), (name, b"evil", {}))
    with pytest.raises(DataError, match="so nothing of the archive is unpacked"):
        unpack(path, tmp_path / "out" / "deep")
    assert not [file for file in tmp_path.rglob("*") if file.name in ("evil", "good")]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    path = make_tar(tmp_path / "a.tar", ("x", b"", {"type": kind, "linkname": "/etc/passwd"}), mode="w")
    with pytest.raises(DataError, match="'x' is a link or a device"):
        unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_link_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("x")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = make_zip(tmp_path / "a.zip", {info: b"/etc/passwd"})
    with pytest.raises(DataError, match="'x' is a link or a device"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_is_too_large(tmp_path, kind):
    make_zip(tmp_path / "a.zip", {"x": bytes(10_000_000)})
    make_tar(tmp_path / "a.tar", ("x", bytes(10_000_000), {}))
    with pytest.raises(DataError, match="unpacks to 10,000,000 bytes by 'x' already, more than the 9,999,999"):
        unpack(tmp_path / f"a.{kind}", tmp_path / "out", limit=9_999_999)
    assert not list((tmp_path / "out").iterdir())
    assert unpack(tmp_path / f"a.{kind}", tmp_path / "out", limit=10_000_000) == 1


def test_a_tar_is_read_no_further_than_to_the_member_that_is_too_much(tmp_path):
    """Its header says a terabyte, of which nothing is there: whoever reads on finds it damaged."""
    info = tarfile.TarInfo("bomb")
    info.size = 1 << 40
    with gzip.open(tmp_path / "a.tgz", "wb") as file:
        file.write(info.tobuf())
    with pytest.raises(DataError, match="unpacks to 1,099,511,627,776 bytes by 'bomb' already"):
        unpack(tmp_path / "a.tgz", tmp_path / "out", limit=1 << 30)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_too_many_members(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    members = [("a/", b"", {"type": tarfile.DIRTYPE}), *((f"a/{number}", b"", {}) for number in range(3))]
    for some in (members[:3], members):
        make_zip(tmp_path / "a.zip", {name: content for name, content, _ in some})
        make_tar(tmp_path / "a.tar", *some)
        if some != members:
            assert unpack(tmp_path / f"a.{kind}", tmp_path / "out") == 2
    with pytest.raises(DataError, match="holds more than 3 files and folders"):
        unpack(tmp_path / f"a.{kind}", tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_taken_for_a_damaged_archive(tmp_path, monkeypatch, number):
    def write(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(archives, "_write", write)
    with pytest.raises(OSError, match=os.strerror(number)):
        unpack(make_zip(tmp_path / "a.zip", {"x": b"x"}), tmp_path / "out")


def test_a_zip_that_understates_its_size(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"x": bytes(5_000_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((5_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little")))
    with pytest.raises(DataError, match="damaged"):
        unpack(path, tmp_path / "out", limit=10_000)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "content",
    [b"no archive at all", b"", b"PK\x03\x04 broken", b"\x1f\x8b\x08 broken", b"BZh9 broken", b"\xfd7zXZ\x00 broken"],
)
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a.zip: cannot be unpacked.*unpack: true"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("mode", ["zip", "w:gz", "w:bz2", "w:xz", "w"])
def test_a_truncated_archive(tmp_path, mode):
    path = tmp_path / "a"
    content = BIG[:300_000]
    make_zip(path, {"x": content}) if mode == "zip" else make_tar(path, ("x", content, {}), mode=mode)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_files_in_the_way_are_kept(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": b"new", "2.jpg": b"two"})
    (tmp_path / "1.jpg").write_bytes(b"mine, not yours")
    with pytest.raises(DataError, match=r"1.jpg: is there already, but not as .*a.zip has it"):
        unpack(path, tmp_path)
    assert (tmp_path / "1.jpg").read_bytes() == b"mine, not yours"
    assert not (tmp_path / "2.jpg").exists()


# -- checkpoints -------------------------------------------------------------------------------------------------------

REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


def backbone(**changes):
    record = {"modality": "text", "checkpoint": "owner/model", "revision": REVISION, "pooling": "first"}
    return Backbone(**(record | {"blocks": 2, "width": 4, "license": "mit"} | changes))


def checkpoint(folder, weights="model.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    save_file({"w": np.arange(4, dtype=np.float32)}, folder / weights)
    return folder


def hub(site, files, revision=REVISION):
    """Serve a repository as the hub does: a listing of its files, and each by its path."""
    listing = []
    for name, content in files.items():
        path = f"/owner/model/resolve/{revision}/{name}"
        site.files[path] = content
        site.headers[path] = {"X-Repo-Commit": revision}
        listing.append({"type": "file", "path": name, "size": len(content), "oid": digest(content)[:40]})
    site.files[f"/api/models/owner/model/tree/{revision}"] = json.dumps(listing).encode()
    site.headers[f"/api/models/owner/model/tree/{revision}"] = {"Content-Type": "application/json"}


@pytest.fixture
def online(monkeypatch, tmp_path):
    """A hub client that may reach a server, with no token and no cache of this machine."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's own attempts


def hub_files(tmp_path):
    folder = checkpoint(tmp_path / "made")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"vocab.txt": b"a\nb\n", "pytorch_model.bin": b"pickle", "run.py": b"evil", "onnx/model.json": b"{}"}


def test_a_checkpoint_from_the_hub(tmp_path, site, online, caplog):
    files = hub_files(tmp_path)
    hub(site, files)
    manifest = tmp_path / "results" / "checkpoints" / "bert.json"
    with caplog.at_level(logging.DEBUG):
        fetch_checkpoint(backbone(), "bert", manifest, endpoint=site.url)
    record = read_json(manifest)
    kept = {"config.json", "model.safetensors", "vocab.txt"}
    assert record["files"] == {name: digest(files[name]) for name in kept}
    assert record["folder"] == str(manifest.with_suffix(""))
    assert (record["source"], record["revision"], record["license"]) == ("hub", REVISION, "mit")
    fetched = {path.name for path in manifest.with_suffix("").iterdir() if path.is_file()}
    assert fetched - {".gitignore"} == kept
    assert not any(path.endswith((".bin", ".py")) or "/onnx/" in path for path, _ in site.asked)
    assert "SECRET" not in caplog.text + manifest.read_text()


def test_a_checkpoint_that_is_there_needs_no_hub(tmp_path, site, online):
    hub(site, hub_files(tmp_path))
    manifest = tmp_path / "checkpoints" / "bert.json"
    fetch_checkpoint(backbone(), "bert", manifest, endpoint=site.url)
    before = manifest.read_bytes()
    manifest.unlink()
    site.files.clear()
    fetch_checkpoint(backbone(), "bert", manifest, endpoint=site.url)
    assert manifest.read_bytes() == before


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_another_revision_in_the_folder_is_not_passed_off_as_this_one(tmp_path, site, online):
    hub(site, hub_files(tmp_path), OTHER)
    manifest = tmp_path / "checkpoints" / "bert.json"
    fetch_checkpoint(backbone(revision=OTHER), "bert", manifest, endpoint=site.url)
    manifest.unlink()
    with pytest.raises(DataError, match=f"is of revision {OTHER}, config asks for {REVISION}"):
        fetch_checkpoint(backbone(), "bert", manifest, endpoint="http://127.0.0.1:9")
    assert not manifest.exists()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (404, "the hub answered HTTP 404"),
        ((404, "RepoNotFound"), "no such repository"),
        ((404, "RevisionNotFound"), "no such revision"),
        ((403, "GatedRepo"), "accept terms"),
        (503, "the hub answered HTTP 503"),
        ("dead", "the hub cannot be reached"),
    ],
)
def test_a_hub_that_does_not_give_it(tmp_path, site, online, spoil, why):
    endpoint = site.url
    status, code = spoil if isinstance(spoil, tuple) else (spoil, None)
    path = f"/api/models/owner/model/tree/{REVISION}"
    if status == "dead":
        endpoint = "http://127.0.0.1:9"
    else:
        site.files[path] = status
        site.headers[path] = {"X-Error-Code": code} if code else {}
    with pytest.raises(DataError) as error:
        fetch_checkpoint(backbone(), "bert", tmp_path / "checkpoints" / "bert.json", endpoint=endpoint)
    message = str(error.value)
    for part in (why, f"https://huggingface.co/owner/model/tree/{REVISION}", "'backbones.bert.source' to folder"):
        assert part in message
    assert "SECRET" not in message
    assert not (tmp_path / "checkpoints" / "bert.json").exists()


@pytest.mark.parametrize(("status", "code"), [(403, "GatedRepo"), (401, None)])
def test_a_gated_repository_is_explained_and_the_token_stays_secret(tmp_path, site, online, caplog, status, code):
    path = f"/api/models/owner/model/tree/{REVISION}"
    site.files[path] = status
    site.headers[path] = {"X-Error-Code": code} if code else {}
    gated = backbone(gated=True, license="gemma")
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError) as error:
        fetch_checkpoint(gated, "bert", tmp_path / "checkpoints" / "bert.json", endpoint=site.url)
    message = str(error.value)
    for part in ("accept terms first (gemma)", "https://huggingface.co/owner/model,", "settings/tokens", "HF_TOKEN"):
        assert part in message
    chain = [error.value, error.value.__cause__, error.value.__context__]
    assert "hf_SECRET" not in " ".join(map(repr, chain)) + message + caplog.text


def test_a_hub_checkpoint_without_a_revision_is_not_fetched(tmp_path, site, online):
    with pytest.raises(ConfigError, match=r"backbones\.mine: owner/model is pinned to no revision"):
        fetch_checkpoint(backbone(revision=None), "mine", tmp_path / "checkpoints" / "mine.json", endpoint=site.url)
    assert not site.asked


def test_a_hub_that_breaks_off(tmp_path, site, online):
    hub(site, hub_files(tmp_path))
    breaks = {f"/owner/model/resolve/{REVISION}/model.safetensors": 10}
    site.break_after = type("Always", (dict,), {"pop": lambda self, key, default: breaks.get(key, default)})()
    site.ranges = False
    manifest = tmp_path / "checkpoints" / "bert.json"
    with pytest.raises(DataError, match="cannot be reached, broke off"):
        fetch_checkpoint(backbone(), "bert", manifest, endpoint=site.url)
    assert not manifest.exists()
    breaks.clear()
    fetch_checkpoint(backbone(), "bert", manifest, endpoint=site.url)
    assert "model.safetensors" in read_json(manifest)["files"]


def test_a_repository_of_pickles(tmp_path, site, online):
    hub(site, {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(DataError, match=r"no \*.safetensors.*not read"):
        fetch_checkpoint(backbone(), "bert", tmp_path / "checkpoints" / "bert.json", endpoint=site.url)


def test_a_checkpoint_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "own" / "model")
    fetch_checkpoint(backbone(source="folder", checkpoint="own/model", revision=None), "mine", "c/mine.json")
    record = read_json("c/mine.json")
    assert record["folder"] == "own/model"
    assert sorted(record["files"]) == ["config.json", "model.safetensors"]
    with pytest.raises(DataError, match=r"no such folder.*'backbones.mine.checkpoint'"):
        fetch_checkpoint(backbone(source="folder", checkpoint="none"), "mine", "c/mine.json")


def test_the_demo_has_nothing_to_download(tmp_path):
    with pytest.raises(ConfigError, match="made by its own step"):
        fetch_checkpoint(backbone(source="demo", checkpoint="bert"), "bert", tmp_path / "m.json")


def test_folders_that_are_no_checkpoints(tmp_path):
    manifest = tmp_path / "m.json"
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match=r"no config\.json"):
            write_checkpoint_manifest(manifest, folder, {})
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(DataError, match=r"no \*.safetensors but pytorch_model.bin"):
        write_checkpoint_manifest(manifest, tmp_path, {})
    checkpoint(tmp_path, "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(DataError, match=r"index names model-00002-of-00002.safetensors, which is not there"):
        write_checkpoint_manifest(manifest, tmp_path, {})
    for bad in ("{", "[]", "{}"):
        (tmp_path / "other.safetensors.index.json").write_text(bad)
        with pytest.raises(DataError, match="is no index of weights"):
            write_checkpoint_manifest(manifest, tmp_path, {})
    (tmp_path / "other.safetensors.index.json").unlink()
    whole = (tmp_path / "model-00001-of-00002.safetensors").read_bytes()
    for damaged in (whole[:-3], b"", b"x" * 100):
        (tmp_path / "model-00002-of-00002.safetensors").write_bytes(damaged)
        with pytest.raises(DataError, match=r"00002.safetensors: damaged or not whole"):
            write_checkpoint_manifest(manifest, tmp_path, {})
    assert not manifest.exists()
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(whole)
    write_checkpoint_manifest(manifest, tmp_path, {"source": "demo", "trained": 3})
    record = read_json(manifest)
    assert (record["folder"], record["source"], record["trained"]) == (tmp_path.as_posix(), "demo", 3)
    assert len(record["files"]) == 4

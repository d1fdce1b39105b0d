"""CITATION.cff has what version 1.2.0 of its format requires, and names this version and both papers."""

import yaml

import sanrec
from tests.docs.pages import ROOT

PERSON, ENTITY = {"family-names", "given-names"}, {"name"}
REQUIRED = {"cff-version", "message", "title", "authors"}
KNOWN = REQUIRED | {"abstract", "keywords", "license", "references", "type", "version"}
OF_A_REFERENCE = {"authors", "identifiers", "notes", "title", "type", "url", "year"}


def test_the_citation_file():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert set(cited) >= REQUIRED
    assert set(cited) <= KNOWN
    assert cited["cff-version"] == "1.2.0"
    assert (cited["type"], str(cited["version"]), cited["license"]) == ("software", sanrec.__version__, "Apache-2.0")
    for work in (cited, *cited["references"]):
        assert work["authors"]
        assert all(set(author) in (PERSON, ENTITY) for author in work["authors"])
    for paper in cited["references"]:
        assert {"authors", "title", "type"} <= set(paper) <= OF_A_REFERENCE
        assert [entry["type"] for entry in paper["identifiers"]] == ["other"]
    found = {entry["value"] for paper in cited["references"] for entry in paper["identifiers"]}
    assert found == {"arXiv:2504.10307", "arXiv:2411.02992"}

"""Tests in a browser are skipped without one, unless it is asked for."""

import pytest

from tests import browsing


@pytest.mark.parametrize(("asked", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_is_lacking_is_a_failure_where_the_browser_is_asked_for(monkeypatch, asked, outcome):
    monkeypatch.setenv("SANREC_BROWSER", asked)
    with pytest.raises(outcome, match="no Chromium"):
        browsing.lacking("no Chromium")

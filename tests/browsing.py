"""Pages in a real headless Chromium, which keeps all that it complains of or asks for.

Needs the browser itself (Debian: `apt-get install chromium`) and Playwright, which drives it; skipped without.
With SANREC_BROWSER=1 it is a failure that they are not there.
"""

import os
import shutil

import pytest

CHROMIUM = os.environ.get("SANREC_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)


def lacking(why):
    """Skip the test, or fail where the browser is asked for."""
    (pytest.fail if os.environ.get("SANREC_BROWSER") == "1" else pytest.skip)(why)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("Playwright is not installed: requirements-dev.txt")
    if CHROMIUM is None:
        lacking("no Chromium on this machine: apt-get install chromium, or name one by SANREC_CHROMIUM")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root in a container
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Open a page; whatever the browser complains of or asks for is kept, and after the test there is none of it."""
    contexts, complaints, requests = [], [], []

    def opened(path, **about):
        context = browser.new_context(**about)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == len(contexts)  # the page itself

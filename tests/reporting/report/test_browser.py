"""The report in a real headless Chromium: no error, sorting, search, curves, images, phone, print, and no request.

Needs what `tests/browsing.py` says.
"""

import pytest


@pytest.fixture
def report(full):
    full.run(model="lora", hit_ratio=0.15)
    return full.write("report.html", full.render())


def column(page, table, place):
    return page.locator(f"#{table} tbody tr > :nth-child({place})").all_inner_texts()


def button(page, table, name):
    return page.locator(f"#{table} thead tr:last-child").get_by_role("button", name=name, exact=True)


def test_it_opens_without_a_complaint_and_its_images_load(visit, report):
    page = visit(report)
    widths = page.eval_on_selector_all("img", "images => images.map((image) => image.naturalWidth)")
    assert len(widths) == 1
    assert all(width > 100 for width in widths)


def test_a_column_sorts_up_down_and_back(visit, report):
    page = visit(report)
    before = column(page, "runs-table", 7)
    heading = page.locator("#runs-table th", has_text="Test HR@10")
    assert before == ["0.1000", "0.2000", "0.0500", "0.1500"]
    for direction, order in (
        ("ascending", sorted(before)),
        ("descending", sorted(before, reverse=True)),
        ("none", before),
    ):
        button(page, "runs-table", "Test HR@10").click()
        assert heading.get_attribute("aria-sort") == direction
        assert column(page, "runs-table", 7) == order


def test_numbers_sort_as_numbers_and_what_is_missing_stands_last(visit, report):
    page = visit(report)
    button(page, "runs-table", "Peak memory").click()
    assert column(page, "runs-table", 13) == ["600 MiB", "600 MiB", "600 MiB", "5.0 GiB"]
    button(page, "runs-table", "Seed").click()
    assert column(page, "runs-table", 6) == ["0", "0", "2", "10"]
    assert page.locator("#runs-table th[aria-sort=ascending]").count() == 1  # by the last alone
    difference = page.locator("#card-1-1-table-1 thead tr:last-child button").nth(4)
    difference.click()
    assert column(page, "card-1-1-table-1", 5) == ["-0.0500", "+0.1000", "+22.50 points", "–"]
    difference.click()
    assert column(page, "card-1-1-table-1", 5) == ["+22.50 points", "+0.1000", "-0.0500", "–"]


def test_sorting_works_from_the_keyboard(visit, report):
    page = visit(report)
    button(page, "runs-table", "Method").focus()
    page.keyboard.press("Enter")
    assert column(page, "runs-table", 3) == ["crossan", "iisan", "iisan", "lora"]
    page.keyboard.press("Space")
    assert column(page, "runs-table", 3) == ["lora", "iisan", "iisan", "crossan"]


def test_search_shows_the_rows_and_cards_that_have_every_word(visit, report):
    page = visit(report)
    rows = page.locator("#runs-table tbody tr")
    assert rows.filter(visible=True).count() == 4
    page.get_by_label("Search").fill("IISAN demo")
    assert rows.filter(visible=True).count() == 2
    assert page.locator("details[data-run]").filter(visible=True).count() == 2
    assert not page.locator("#card-1-1").is_visible()
    assert not page.get_by_role("heading", name="Other jobs").is_visible()
    assert page.get_by_role("status").inner_text().startswith("4 rows in 2 places")
    page.get_by_label("Search").fill("figure 3 widths")
    assert page.locator("#card-1-3 img").is_visible()
    assert not page.locator("#runs-table").is_visible()
    page.get_by_label("Search").fill("only the paper's")
    assert page.locator("#card-1-1 tbody tr").filter(visible=True).count() == 1
    page.get_by_label("Search").fill("nothing like it")
    assert page.get_by_role("status").inner_text() == "Nothing has all of these words"
    page.get_by_label("Search").fill("")
    assert rows.filter(visible=True).count() == 4
    assert page.locator("[data-card]").filter(visible=True).count() == page.locator("[data-card]").count()


def test_search_finds_an_item_that_lacks_media_in_a_closed_list(visit, report):
    page = visit(report)
    assert not page.locator("#media-1-list").is_visible()
    page.get_by_label("Search").fill("9.jpg")
    assert column(page, "media-1-list", 1)[1] == "9"
    assert page.locator("#media-1-list tbody tr").filter(visible=True).count() == 1


def test_curves_are_drawn_when_a_run_is_opened_and_a_link_opens_it(visit, report):
    page = visit(report)
    assert page.locator(".curves svg").count() == 0
    page.locator("#runs-table a").nth(1).click()
    assert page.locator("#run-2").get_attribute("open") is not None
    names = page.locator("#run-2 svg").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    assert names == [
        "training loss, from 3.14 to 1 over 3 epochs; the best epoch is 2",
        "validation HR@10, from 0.05 to 0.09 over 3 epochs; the best epoch is 2",
        "validation NDCG@10, from 0.02 to 0.03 over 3 epochs; the best epoch is 2",
    ]
    assert page.locator("#run-2 svg").first.locator("circle").count() == 2  # either side of the gap
    assert page.locator("#run-2 svg").nth(1).locator("polyline").get_attribute("points").count(",") == 3
    assert page.locator(".curves svg").count() == 3  # of this run alone


def test_hostile_names_are_texts(visit, report):
    page = visit(report)
    assert page.locator("h3", has_text="<script>alert").count() == 1
    assert page.locator("img").count() == 1


def test_on_a_phone_tables_scroll_in_their_box_and_the_page_does_not(visit, report):
    page = visit(report, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.locator("div.wide", has=page.locator("#runs-table"))
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert box.get_attribute("tabindex") == "0"  # so that it scrolls by keyboard too
    box.evaluate("box => { box.scrollLeft = 300 }")
    first = page.locator("#runs-table tbody th").first.bounding_box()
    assert 0 <= first["x"] < 60  # what a row is stays in view
    table = page.locator("div.wide", has=page.locator("#card-1-1-table-1"))
    table.evaluate("box => { box.scrollLeft = 40 }")
    beside = table.locator("tbody th").first.bounding_box()
    heading = table.locator("thead span", has_text="Measured here").bounding_box()
    assert heading["x"] >= beside["x"] + beside["width"] - 1  # and what stands over several columns


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(visit, report, scheme):
    page = visit(report, color_scheme=scheme)
    colours = page.evaluate(
        "() => { const style = getComputedStyle(document.body); return [style.color, style.backgroundColor] }"
    )
    text, ground = (sum(int(part) for part in colour[4:-1].split(",")) for colour in colours)
    assert (text > ground) == (scheme == "dark")
    assert abs(text - ground) > 450  # of 765


def test_in_print_there_is_light_paper_and_nothing_to_click(visit, report):
    page = visit(report, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_label("Search").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("div.wide").first.evaluate("box => getComputedStyle(box).overflowX") == "visible"
    assert page.pdf()[:5] == b"%PDF-"


def test_an_empty_folders_page_opens_too(visit, results):
    page = visit(results.write("report.html", results.render()))
    assert page.get_by_role("heading", name="Nothing was made yet").is_visible()


def test_without_scripts_everything_is_there_but_the_search_box(visit, report):
    page = visit(report, java_script_enabled=False)
    assert not page.locator("form").is_visible()
    assert page.locator("noscript").count() == 1
    assert page.locator("#runs-table tbody tr").count() == 4

"""The readers of users' files: what they take, and what they say of a bad file."""

import csv

import pytest

from sanrec.data.layouts import find_media, read_pairs, read_titles
from sanrec.errors import DataError


def file(tmp_path, content, name="file.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# -- titles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("item,title\n1,a\n2,b\n", {"1": "a", "2": "b"}),
        ('item,title\r\n1,"a, ""b"""\r\n2,\r\n', {"1": 'a, "b"', "2": ""}),
        ('item,title\n1,"two\nlines"\n2,b\n', {"1": "two\nlines", "2": "b"}),
        ("item,title\n1,no quotes, but a comma\n", {"1": "no quotes, but a comma"}),
        ("item,title\n1,a\u2028b\x85c\n2,b\n", {"1": "a\u2028b\x85c", "2": "b"}),
        ("video_id,Title\n1,a\n", {"1": "a"}),
        # as the published MicroLens-100k_title_en.csv: no header, a byte order mark, commas without quotes, blanks
        ("\ufeff1,one, two\n2, \n3,three\n", {"1": "one, two", "2": "", "3": "three"}),
        (
            '7,"in ""quotes"", whole"\n8,"part" of it, "quoted"\n',
            {"7": 'in "quotes", whole', "8": '"part" of it, "quoted"'},
        ),
        ("1,title\n\n2,b", {"1": "title", "2": "b"}),
    ],
)
def test_titles_of_the_microlens_layout(tmp_path, text, expected):
    found = read_titles(file(tmp_path, text), "microlens")
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("header", ["", "item,title\n"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_title_may_be_longer_than_csv_readers_allow(tmp_path, header, first, quote):
    long = "word " * 40_000 + "end"
    rows = [f"1,{quote}{long}{quote}", "2,two"]
    text = header + "\n".join(rows if first else rows[::-1]) + "\n"
    limit = csv.field_size_limit()
    assert limit < len(long)
    assert read_titles(file(tmp_path, text), "microlens") == {"1": long, "2": "two"}
    assert csv.field_size_limit() == limit


def test_titles_of_the_amazon_layout_stay_as_they_stand(tmp_path):
    text = 'B01\t" Industrial &amp; Scientific"" />"\nB02\tx, y\r\nB03\t\n'
    expected = {"B01": '" Industrial &amp; Scientific"" />"', "B02": "x, y", "B03": ""}
    assert read_titles(file(tmp_path, text), "amazon") == expected


@pytest.mark.parametrize(
    ("layout", "text", "message"),
    [
        ("microlens", "item,title\n1,a\n2,b\n1,c\n", "line 4: item '1' was there before, in line 2"),
        ("amazon", "x\ta\nx\tb\n", "line 2: item 'x' was there before, in line 1"),
        ("microlens", 'item,title\n1,"two\nlines"\n1,b\n', "line 4: item '1' was there before, in line 2"),
        ("microlens", "item,title\n1,a\n,b\n", "line 3: '' is no item id"),
        ("amazon", "a\tb\n\tc\n", "line 2: '' is no item id"),
        ("microlens", "1,a\n2 3,b\n", "line 2: '2 3' is no item id"),
        ("microlens", "item,title\n1\n", "line 2: expected item,title, found '1'"),
        ("microlens", "1,a\njust words\n", "line 2: expected item,title, found 'just words'"),
        ("microlens", 'item,title\n1,a\n2,"b" c\n', "line 3: .*doubled"),
        ("microlens", 'item,title\n1,a\n2,"b\n3,c\n', "line 3: .*doubled"),
        ("microlens", "item,title,views\n1,a,2\n", "line 1: expected the columns item,title and no more"),
        ("amazon", "a b\n", "line 1: expected item<TAB>title, found 0 tabs"),
        ("amazon", "a\tb\na\tb\tc\n", "line 2: expected item<TAB>title, found 2 tabs"),
        ("microlens", "", "holds no items"),
        ("microlens", "item,title\n", "holds no items"),
        ("amazon", "\n\n", "holds no items"),
        ("microlens", b"item,title\n1,a\ncaf\xe9,b\n", "line 3: item id 'caf\N{REPLACEMENT CHARACTER}' holds bytes"),
        ("amazon", "B01\ta\n".encode("utf-16"), "line 1: byte 0 .* is not UTF-8"),
    ],
)
def test_bad_titles(tmp_path, layout, text, message):
    path = file(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_titles(path, layout)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("read", [lambda path, key: read_titles(path, "microlens", key), read_pairs])
def test_a_missing_file_says_where_and_what_to_do(tmp_path, read):
    for path in (tmp_path / "none.csv", file(tmp_path, "x") / "below a file"):
        with pytest.raises(DataError, match=r"no such file.*config key 'corpora.mine.titles'") as error:
            read(path, "corpora.mine.titles")
        assert str(path) in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path, "x")


# -- pairs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["u1\ta b a\nu2\tc\n", "u1\ta b a\r\nu2\tc\r\n", "\ufeffu1\ta  b a \n u2 \t c\n\n\n"])
def test_pairs(tmp_path, text):
    pairs = read_pairs(file(tmp_path, text))
    assert pairs.users.to_pylist() == ["u1", "u2"]
    assert pairs.offsets.tolist() == [0, 3, 4]
    assert [pairs.names[int(code)].as_py() for code in pairs.items] == ["a", "b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ta b\n2 a b\n", "line 2: expected user<TAB>item item ..., found '2 a b'"),
        ("1\ta b\n\n2\ta\n", "line 2: expected user<TAB>item item"),
        ("1\ta\tb\n", "line 1: expected user<TAB>item item"),
        ("1\ta\n2\t\n3\tb\n", "line 2: expected"),
        ("1\ta\n2\t \r\n3\tb\n", "line 2: expected"),
        ("1\ta\n\tb\n", "line 2: expected"),
        ("1,a,5\n", "line 1: expected"),
        ("1\ta\n2\tb\n3\tc\n2\td\n", "line 4: user '2' has line 2 already"),
        ("1\ta\r2\tb\r", "line 1: expected"),
        ("", "holds no users"),
        ("\n \n", "holds no users"),
        (b"1\ta\n2\t\xff\n", r"line 2: byte 6 \(0xff\) is not UTF-8"),
    ],
)
def test_bad_pairs(tmp_path, text, message):
    path = file(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_pairs(path)
    assert str(path) in str(error.value)


# -- media -------------------------------------------------------------------------------------------------------------


def test_media_are_found_by_id(tmp_path):
    for name in ("1.jpg", "2.JPEG", "a.b.png", "3.txt", "4", ".jpg", "5.webp", "5.jpg", "6.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "7.jpg").mkdir()
    assert find_media(tmp_path, "cover") == {"1": "1.jpg", "2": "2.JPEG", "a.b": "a.b.png", "5": "5.jpg"}
    assert find_media(tmp_path, "video") == {"6": "6.mp4"}
    assert find_media(tmp_path / "none", "audio") == {}


def test_single_bytes_of_titles_that_are_not_utf_8_are_replaced_with_a_warning(tmp_path, caplog):
    path = file(tmp_path, b"item,title\n1,a\n2,caf\xe9\n3,\xc3\xa9\n4,\xff\xfe\n")
    assert read_titles(path, "microlens") == {"1": "a", "2": "caf\ufffd", "3": "é", "4": "\ufffd\ufffd"}
    assert "2 lines are not UTF-8, the first is line 3" in caplog.text

"""The prompts: files that stay what they are unless somebody means to change them."""

import hashlib

import pytest

from sanrec.captions.prompts import FOLDER, load_prompt, prompt_names
from sanrec.captions.registry import CAPTIONERS
from sanrec.config import USUAL_CAPTIONERS
from sanrec.errors import ConfigError


def test_every_captioner_has_its_prompts():
    for name, record in CAPTIONERS.items():
        for prompt in record.prompts.values():
            assert load_prompt(prompt).text, name
    assert {prompt for record in CAPTIONERS.values() for prompt in record.prompts.values()} == set(prompt_names())


@pytest.mark.parametrize("name", ["cover", "video"])
def test_prompts_hold_examples_of_the_length_they_ask_for(name):
    text = load_prompt(name).text
    examples = [line.removeprefix("Caption: ") for line in text.splitlines() if line.startswith("Caption: ")]
    assert len(examples) >= 2
    for example in examples:
        assert 30 <= len(example.split()) <= 80
        assert not example.startswith(("The image", "The video", "This picture"))
    assert text.endswith("Caption:")


def test_the_digest_is_that_of_the_words_without_white_space_around():
    prompt = load_prompt("demo-cover")
    assert prompt.digest == hashlib.sha256(b"Describe the cover.").hexdigest()
    assert (FOLDER / "demo-cover.txt").read_text() == "Describe the cover.\n"


def test_a_prompt_of_ones_own(tmp_path):
    (tmp_path / "mine.txt").write_text("  Say what you see.\n")
    assert load_prompt(str(tmp_path / "mine.txt")).text == "Say what you see."


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"", "is empty"), (b"\xff\xfe", "is no UTF-8 text")]
)
def test_a_bad_prompt_file_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_prompt(str(tmp_path / "mine.txt"))


def test_an_unknown_prompt_gets_the_nearest_name():
    with pytest.raises(ConfigError, match=r"unknown prompt 'covr'.*did you mean 'cover'"):
        load_prompt("covr")


def test_every_usual_captioner_exists_and_can_do_it():
    for usual in USUAL_CAPTIONERS.values():
        for medium, name in usual.items():
            assert medium in CAPTIONERS[name].prompts


def test_hub_captioners_are_pinned_and_licensed():
    for name, record in CAPTIONERS.items():
        assert record.pinned(name) is record
        assert record.license != "unknown"

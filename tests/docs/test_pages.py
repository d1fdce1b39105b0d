"""What the documentation says of the code is so: examples load, generated pages are current, messages are real."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from sanrec.config import validate
from sanrec.load import load_config
from sanrec.reporting.figure_kinds import load_figure
from sanrec.reporting.specs import TableSpec
from sanrec.snakefile.targets import rules, targets_page
from tests.docs.pages import MARKS, ROOT, YAML, Block, blocks, marked, pages

COMMAND = re.compile(r"^(\$ )?(snakemake|sanrec|python|pip|pytest) ", re.M)
OF_OTHERS = (  # programs whose messages the FAQ explains too
    "MissingRuleException: No rule to produce",
    "LockException: Error: Directory cannot be locked.",
    "torch.OutOfMemoryError: CUDA out of memory.",
)


@pytest.mark.parametrize("page", pages())
def test_every_block_of_commands_yaml_and_python_says_what_tests_do_with_it(page):
    for block in blocks(page):
        valid = MARKS.get(block.language, {""})
        hint = f"put <!-- test: ... --> before it, one of {', '.join(sorted(valid))} (CONTRIBUTING.md)"
        assert block.mark in valid, (
            f"{block.place}: a block of {block.language or 'text'} with mark '{block.mark}': {hint}"
        )
        typed = COMMAND.search(block.text) if block.language not in MARKS else None
        assert not typed, f"{block.place}: commands stand in a block of `console`, so that tests see them"
        assert bool(block.reason) == (block.mark == "skip"), f"{block.place}: `skip, REASON`, and no other has a reason"


def test_prompts_and_what_commands_print_are_not_run():
    shown = Block("", "console", "run", "", "$ one --of\nprinted\n$ two \\\n    --more\n$ none\n")
    assert shown.commands == "one --of\ntwo \\\n    --more\nnone"
    plain = Block("", "console", "run", "", "for i in 1 2; do\n  echo $i; done\n")
    assert plain.commands == plain.text


def merge(whole, values):
    """Add values to a mapping of mappings, key by key."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(whole.get(key), dict):
            merge(whole[key], value)
        else:
            whole[key] = value


def example_config(page):
    """The config of the example that a page of one's own goes through: what the page leaves out."""
    config = ROOT / f"examples/own-{Path(page).stem}/config.yaml"
    return yaml.safe_load(config.read_text(encoding="utf-8")) if page.startswith("docs/own/") else {}


@pytest.mark.parametrize("page", [page for page in pages() if any(b.language in YAML for b in blocks(page))])
def test_yaml_examples_are_what_they_are_said_to_be(page, tmp_path):
    whole = example_config(page)
    for block in marked(page, "config", "part", "table", "figure", "parse"):
        try:
            values = yaml.safe_load(block.text)
            assert isinstance(values, dict)
            if block.mark == "config":
                load_config(values)
            elif block.mark == "part":
                merge(whole, values)
            elif block.mark == "table":
                validate(TableSpec, values, block.place)
            elif block.mark == "figure":
                (tmp_path / "figure.yaml").write_text(block.text, encoding="utf-8")
                load_figure(tmp_path / "figure.yaml")
        except Exception as error:
            error.add_note(f"in the block at {block.place}")
            raise
    load_config(whole)


def test_the_snakefile_that_begins_a_folder_is_as_its_page_shows_it():
    written = (ROOT / "src/sanrec/workflow/templates/Snakefile").read_text(encoding="utf-8")
    first, *_ = [block for block in blocks("docs/start-own.md") if block.language == "python"]
    assert first.text in written


def test_the_page_of_targets_is_current():
    """docs/config.md is held the same way by tests/test_config.py."""
    current = (ROOT / "docs/targets.md").read_text(encoding="utf-8") == targets_page(ROOT / "workflow")
    assert current, "make it anew: sanrec targets-page workflow > docs/targets.md"


def test_every_rule_says_what_it_makes_and_calls_a_subcommand():
    from sanrec.cli import COMMANDS

    found = [rule for of_file in rules(ROOT / "workflow/rules").values() for rule in of_file]
    declared = re.findall(
        r"^rule (\w+):", "".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk")), re.M
    )
    assert set(declared) <= {rule.name for rule in found}
    assert [rule.name for rule in found if not rule.what] == []
    assert {rule.command for rule in found} <= set(COMMANDS)


def templates():
    """Every text of the package's source: its words, None where an f-string has a value."""
    for path in sorted((ROOT / "src/sanrec").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node] if isinstance(node, ast.Constant) else []
            words = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            if sum(len(word) for word in words if isinstance(word, str)) > 12:
                yield words


def says(words, message):
    """Whether a message is this text with some values in it."""
    end = 0
    for number, word in enumerate(words):
        if word is not None:
            start = message.find(word, end) if number < len(words) - 1 else max(end, len(message) - len(word))
            if start < 0 or (number == 0 and start) or not message.startswith(word, start):
                return False
            end = start + len(word)
    return words[-1] is None or end == len(message)


def reasons():
    """What the code says is wrong with a medium, as `templates` has it."""
    for path in sorted((ROOT / "src/sanrec").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "MediaError":
                for node in [call.args[1], *ast.iter_child_nodes(call.args[1])]:
                    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                    yield [part.value if isinstance(part, ast.Constant) else None for part in parts]


def test_the_reasons_that_the_faq_explains_are_the_code_s():
    page = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
    table = page.partition("| reason | what |")[2].partition("\n\n")[0]
    explained = [reason for row in table.splitlines()[2:] for reason in re.findall("`(.*?)`", row.split("|")[1])]
    every = [words for words in reasons() if any(isinstance(word, str) for word in words)]
    assert len(explained) > 12
    for reason in explained:
        assert any(says(words, reason) for words in every), reason
    kinds = ("does not decode (", "decoding takes longer than ", "its decoder crashed (", "no video stream", "no file")
    assert all(any(reason.startswith(kind) for reason in explained) for kind in kinds)


def test_the_messages_that_the_faq_explains_are_the_code_s():
    every, told = list(templates()), blocks("docs/faq.md")
    outputs = {told[n + 1].place for n, block in enumerate(told[:-1]) if block.mark == "fails"}  # test_commands.py's
    messages = [block for block in told if block.language == "text" and block.place not in outputs]
    assert len(messages) > 20
    for block in messages:
        message = block.text.strip()
        if not message.startswith(OF_OTHERS):
            said = re.sub(r"^sanrec [\w-]+: ", "", message)
            assert any(says(words, said) for words in every), f"{block.place}: no code says: {message}"

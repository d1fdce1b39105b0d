"""What the page of targets is made from: the rules as they stand in workflow/rules."""

from pathlib import Path

from sanrec.snakefile.targets import rules

RULES = Path(__file__).parents[2] / "workflow" / "rules"


def test_every_output_of_a_rule_is_a_path_below_results():
    found = {rule.name: rule for some in rules(RULES).values() for rule in some}
    assert all(path.startswith("results/") for rule in found.values() for path in rule.outputs)
    assert all(rule.outputs for rule in found.values())
    assert found["media_report"].outputs == ("results/{corpus}/media-report.csv",)  # not its caption and labels
    assert found["tuned"].outputs == ("results/{dataset}/tuning.csv",)
    assert found["table"].outputs == tuple(f"results/{{table}}.{suffix}" for suffix in ("csv", "md", "html"))
    assert len(found["train"].outputs) == 5

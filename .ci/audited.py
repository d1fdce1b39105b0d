"""What pip-audit found: its findings first, then the pins that it could say nothing of; exit status as of `audit`."""

import json
import re
import sys
from pathlib import Path


def normal(name: str) -> str:
    """A library's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


pins, report = map(Path, sys.argv[1:])
asked = {normal(line.partition("==")[0]) for line in pins.read_text().splitlines() if "==" in line}
told = json.loads(report.read_text())["dependencies"] if report.is_file() and report.stat().st_size else []
audited = {normal(one["name"]) for one in told if "skip_reason" not in one}
found = [(one, weakness) for one in told for weakness in one.get("vulns", [])]
for one, weakness in found:
    mended = ", ".join(weakness["fix_versions"]) or "no version yet"
    print(f"{one['name']} {one['version']}: {weakness['id']}, mended in {mended}")
if left := sorted(asked - audited):
    why = {normal(one["name"]): one.get("skip_reason", "") for one in told}
    print(f"nothing is said about {len(left)} of {len(asked)} pins:", file=sys.stderr)
    print("\n".join(f"  {name}: {why.get(name) or 'no answer'}" for name in left), file=sys.stderr)
sys.exit(1 if found else 2 if left else 0)

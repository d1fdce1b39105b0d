"""Write the README's first two fenced shell blocks as command-1.sh and command-2.sh into the folder given."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"^```(?:bash|sh|shell|console)\s*\n(.*?)^```", Path("README.md").read_text("utf-8"), re.M | re.S)
for number, block in enumerate(blocks[:2], 1):
    Path(sys.argv[1], f"command-{number}.sh").write_text("set -euo pipefail\n" + block, "utf-8")

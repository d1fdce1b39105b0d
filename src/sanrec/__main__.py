"""`python -m sanrec` is `sanrec`."""

import sys

from sanrec.cli import main

sys.exit(main())

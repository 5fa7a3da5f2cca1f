"""``python -m tdecomp`` is the command ``tdecomp``."""

import sys

from tdecomp.cli import main

if __name__ == "__main__":
    sys.exit(main())

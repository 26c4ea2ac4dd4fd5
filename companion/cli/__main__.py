"""`python -m companion.cli` is the command `companion`."""

import sys

from companion.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())

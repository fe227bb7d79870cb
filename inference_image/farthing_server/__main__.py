"""`python -m farthing_server`: exit code 0 after a drain, 1 on an error, 2 on refused input."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from farthing_server import options, server
from farthing_server.errors import ModelError, OptionError


def main(arguments: Sequence[str]) -> int:
    try:
        return server.run(options.parse(arguments, os.environ))
    except (OptionError, ModelError) as error:
        sys.stderr.write(f"farthing_server: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

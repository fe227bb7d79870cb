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


def run() -> None:
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        os._exit(code)  # a batch that does not end would otherwise hold the process for ever


if __name__ == "__main__":
    run()

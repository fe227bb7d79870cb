"""Logs as one JSON object per line, with what looks like a credential blotted out."""

from __future__ import annotations

import logging
import re
import sys

from pythonjsonlogger.json import JsonFormatter

LEVELS = ("debug", "info", "warning", "error")
_SECRET = re.compile(r"(?i)(bearer\s+|token[\"'=:\s]+)[A-Za-z0-9._~+/=-]{16,}")


class _Discreet(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return _SECRET.sub(r"\1(hidden)", super().format(record))


def start(level: str) -> None:
    """Log to stderr from this level on; libraries speak from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Discreet(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("farthing").setLevel(level.upper())

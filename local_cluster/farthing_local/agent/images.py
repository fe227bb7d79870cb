"""Which local program stands for which image; read anew when the file changes."""

from __future__ import annotations

import logging
import pathlib

from farthing_local.agent import settings

_log = logging.getLogger(__name__)


class ImageCatalog:
    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._read_at_ns = path.stat().st_mtime_ns if path.exists() else 0
        self._images = settings.read_images(path)

    def find(self, reference: str) -> settings.Image | None:
        """The program for this image; one that was added to the file since is found, too."""
        self._read_again()
        return self._images.get(reference)

    def _read_again(self) -> None:
        try:
            changed_at_ns = self._path.stat().st_mtime_ns
            if changed_at_ns == self._read_at_ns:
                return
            self._read_at_ns = changed_at_ns
            self._images = settings.read_images(self._path)
        except (OSError, settings.InvalidSettingError) as error:
            # The images known so far go on working while the file is being edited.
            _log.warning("images are kept as they were: %s", error)

"""What can go wrong, as types.

ServerError
├── OptionError         the command line or an environment variable: exit code 2
├── ModelError          the model's files are missing, unsafe or of an unknown kind: exit code 2
├── ComputeError        the model failed on a batch: the batch's requests get 500
└── RequestError        answered to the client with its own status
    └── RefusedError    503: a valid request that cannot be served now; why, and when to retry
"""

from __future__ import annotations


class ServerError(Exception):
    """Base of every error that this package raises on purpose."""


class OptionError(ServerError):
    """An option has a value that is not allowed; the message says which, and what is allowed."""


class ModelError(ServerError):
    """The model cannot be served; the message names the file or the setting that prevents it."""


class ComputeError(ServerError):
    """The model failed while computing a batch."""


class RequestError(ServerError):
    """A request that is answered with an error status and ``{"error": message}``."""

    def __init__(self, status: int, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.close = close  # the rest of the body is unwanted: end the connection


class RefusedError(RequestError):
    """A valid request that is not served now; the client learns it at once."""

    def __init__(self, reason: str, message: str, retry_after_s: float) -> None:
        super().__init__(503, message)
        self.reason = reason
        self.retry_after_s = retry_after_s

"""The one way in which a source of signals fails: with a reason that a person can act on."""

from __future__ import annotations


class UnusablePageError(Exception):
    """A metrics page that cannot be trusted; its text is what a gap gives as the reason."""


class UnusableAnswerError(Exception):
    """An answer of Prometheus that cannot be trusted; its text is the reason of the gap."""

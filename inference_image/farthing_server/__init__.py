"""The serving container: one model, one process, the Open Inference Protocol over HTTP.

It stands alone and imports nothing of the operator. Reading order: ``app`` (what a client can
ask), ``engine`` (how a request becomes a part of a batch), ``scheduling`` (which requests, decided
on values and an instant), ``emulated`` and ``embedding`` (what computes a batch), ``server``
(start, ready, drain).
"""

VERSION = "0.1.0"

"""What the replicas say: from their pages directly, or from Prometheus when they cannot be asked.

Everything here ends in the core's `LoadReading` and `Gap`. A value that is missing, malformed or
implausible becomes a gap with its reason; nothing in this package turns absence into zero.
"""

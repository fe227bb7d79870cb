"""What people type: `farthing` and `kubectl farthing`. Commands read and print; none of them changes a cluster
except `farthing local`, which changes its own.
"""

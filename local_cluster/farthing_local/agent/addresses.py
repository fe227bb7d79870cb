"""Loopback addresses for pods, one per pod and never one that is still in use.

An agent owns one block, the /16 of a second octet from 1 to 239: block 0 belongs to the machine
and 240 to Services. Two agents on one machine hold different blocks (`preferred_blocks` says in
which order each tries them).
"""

from __future__ import annotations

import hashlib
import ipaddress

BLOCKS = range(1, 240)


class AddressesExhaustedError(Exception):
    """Every address of the block is in use."""


def preferred_blocks(owner: str) -> list[int]:
    """All blocks, starting at one that follows from the owner's name.

    The same owner starts at the same block, so a pod keeps its address when its agent restarts.
    """
    digest = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:4], "big")
    start = digest % len(BLOCKS)
    return [BLOCKS[(start + step) % len(BLOCKS)] for step in range(len(BLOCKS))]


class AddressPool:
    """Hands out the addresses of one block in a circle, so that a freed one rests longest."""

    # From 127.b.1.0 to 127.b.254.255; the first and last 256 are left for the agent itself.
    _FIRST, _LAST = 256, 65_279

    def __init__(self, block: int) -> None:
        if block not in BLOCKS:
            raise ValueError(f"block {block}: must be from {BLOCKS[0]} to {BLOCKS[-1]}")
        self._start = (127 << 24) + (block << 16)
        self._next = self._FIRST
        self._in_use: set[str] = set()

    def allocate(self) -> str:
        """A free address, in use from now on."""
        for _ in range(self._LAST - self._FIRST + 1):
            address = str(ipaddress.IPv4Address(self._start + self._next))
            self._next = self._FIRST if self._next == self._LAST else self._next + 1
            last_octet = address.rsplit(".", 1)[1]
            if last_octet not in ("0", "255") and address not in self._in_use:
                self._in_use.add(address)
                return address
        raise AddressesExhaustedError(f"all addresses of {self} are in use")

    def reserve(self, address: str) -> bool:
        """Take back an address that a pod had before; false when it is not ours or in use."""
        try:
            offset = int(ipaddress.IPv4Address(address)) - self._start
        except ipaddress.AddressValueError:
            return False
        if not self._FIRST <= offset <= self._LAST or address in self._in_use:
            return False
        self._in_use.add(address)
        return True

    def release(self, address: str) -> None:
        self._in_use.discard(address)

    def __str__(self) -> str:
        return f"{ipaddress.IPv4Address(self._start)}/16"

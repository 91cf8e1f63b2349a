"""Names of partitions that Spark's shuffle spreads evenly."""

from __future__ import annotations

_M = 0xFFFFFFFF


def labels(n: int) -> list[int]:
    """Return, for each of n partitions, the smallest number that `repartition(n, column)` sends there.

    Numbers from 0 to n-1 would collide: some tasks had nothing to do and others twice as much. Only balance depends on Spark's hash: rows of one
    number stay together in any case. Costs n log n.
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < n:
        found.setdefault(murmur3(number) % n, number)
        number += 1
    return [found[i] for i in range(n)]


def murmur3(number: int, seed: int = 42) -> int:
    """Return what Spark's hash() says of an int."""
    k = _rotated((number & _M) * 0xCC9E2D51 & _M, 15) * 0x1B873593 & _M
    h = (_rotated(seed ^ k, 13) * 5 + 0xE6546B64 & _M) ^ 4
    h = (h ^ h >> 16) * 0x85EBCA6B & _M
    h = (h ^ h >> 13) * 0xC2B2AE35 & _M
    h ^= h >> 16
    return h - (1 << 32) if h >> 31 else h


def _rotated(x: int, r: int) -> int:
    return ((x << r) | (x >> (32 - r))) & _M

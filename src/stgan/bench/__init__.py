"""Timings: what generation costs on this machine, and how close that is to what the machine can do."""

from stgan.bench.estimating import PARTS, Estimate, TimedPart, estimate
from stgan.bench.forms import FormsComparison, compare
from stgan.bench.machine import available_memory, matmul_rate

__all__ = [
    "PARTS",
    "Estimate",
    "FormsComparison",
    "TimedPart",
    "available_memory",
    "compare",
    "estimate",
    "matmul_rate",
]

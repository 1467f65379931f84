"""Timings: what generating costs on this machine, and how close that is to what the machine can do."""

from stgan.bench.estimating import PARTS, Estimate, Part, estimate
from stgan.bench.machine import available_memory, matmul_rate

__all__ = ["PARTS", "Estimate", "Part", "available_memory", "estimate", "matmul_rate"]

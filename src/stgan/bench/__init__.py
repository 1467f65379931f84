"""Timings: what generating costs on this machine, and how close that is to what the machine can do."""

from stgan.bench.estimating import PARTS, Estimate, Part, estimate
from stgan.bench.forms import Comparison, compare
from stgan.bench.machine import available_memory, matmul_rate

__all__ = ["PARTS", "Comparison", "Estimate", "Part", "available_memory", "compare", "estimate", "matmul_rate"]

"""What a machine can do, and how much memory is held."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stgan.bench.machine import PeakMemory, available_memory, computing_in, matmul_rate

CPU = torch.device("cpu")
MEGA = 2**20
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")


def test_the_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0, 30.0, 34.0, 40.0, 99.0])
    monkeypatch.setattr("stgan.bench.machine.time", SimpleNamespace(perf_counter=lambda: next(times)))
    assert matmul_rate(CPU, seconds=1.0) == 2 * 2048**3 / 2.0


def test_products_are_computed_in_a_precision_and_then_as_before() -> None:
    for precision in ("float32", "tf32", "bf16"):

        def state() -> tuple[bool, bool, bool]:
            tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
            return *tf32, torch.is_autocast_enabled("cpu")

        before = state()
        with computing_in(precision, CPU):
            assert state() == (precision == "tf32", precision == "tf32", precision == "bf16")
            product = torch.rand(4, 4) @ torch.rand(4, 4)
            assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
        assert state() == before


@linux
def test_peak_memory_is_of_the_block_alone() -> None:
    torch.ones(256 * MEGA // 4).sum()  # held and freed before
    with PeakMemory(CPU) as outer:
        kept = torch.ones(32 * MEGA // 4)
        with PeakMemory(CPU) as inner:
            torch.ones(64 * MEGA // 4).sum()
    assert 60 * MEGA < inner.bytes < 90 * MEGA
    assert inner.bytes + 20 * MEGA < outer.bytes < 150 * MEGA and len(kept)


@linux
def test_available_memory() -> None:
    available = available_memory(CPU)
    assert available and MEGA < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@linux
def test_available_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text("1048576\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr("stgan.bench.machine._LIMITS", (tmp_path / "none", tmp_path / "missing", tmp_path / "limit"))
    assert available_memory(CPU) == MEGA

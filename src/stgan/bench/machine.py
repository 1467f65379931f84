"""The speed and the memory of a machine, to compare timings with."""

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

import torch

_STATUS = Path("/proc/self/status")  # of this process, on Linux
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of containers


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    torch.get_device_module(device).synchronize()


MatmulPrecision = Literal["float32", "tf32", "bf16"]
"""The number format of products. tf32: float32 with operands rounded to 10 bits, on NVIDIA GPUs. bf16: by autocast."""


@contextmanager
def computing_in(precision: MatmulPrecision, device: torch.device) -> Iterator[None]:
    """Compute products in this precision in a block; everything else stays float32."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def matmul_rate(device: torch.device, seconds: float = 0.5) -> float:
    """Floating point operations per second of a large matrix product; the fastest of several within `seconds`.

    The matrices are float32. The product has the precision that is in effect at the call (see `computing_in`).
    """
    halved = torch.is_autocast_enabled(device.type)
    size = 8192 if device.type != "cpu" else 256 if halved else 2048  # many CPUs only emulate bf16
    a = torch.rand(size, size, device=device)
    if halved:
        a = a.to(torch.get_autocast_dtype(device.type))  # here, so that the conversion is not timed
    times: list[float] = []
    while len(times) < 4 or sum(times) < seconds:
        synchronize(device)
        started = time.perf_counter()
        torch.matmul(a, a)
        synchronize(device)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


class PeakMemory:
    """Measures the peak of memory in a block, minus the memory at its beginning.

    bytes: memory of tensors on a GPU; else main memory of this process. Outside Linux: only what exceeds the highest
           peak before the block.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.bytes = device, 0

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.before = torch.cuda.memory_allocated(self.device)
            return self
        with suppress(OSError, AttributeError):  # elsewhere than on Linux, or where it is forbidden
            ctypes.CDLL(None).malloc_trim(0)  # reuse of memory that was freed but not returned would not be seen
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        self.before = _process_memory("VmRSS")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        cuda = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if cuda else _process_memory("VmHWM")
        self.bytes = peak - self.before


def available_memory(device: torch.device) -> int | None:
    """Free memory in bytes, of the GPU or of the main memory; None if it is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = [int(text) for path in _LIMITS if (text := _read(path).strip()).isdigit()]
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            known.append(1024 * int(line.split()[1]))
    return min(known, default=None)


def _process_memory(name: str) -> int:
    """Main memory of this process in bytes, now (VmRSS) or at its peak (VmHWM). Outside Linux always the peak."""
    for line in _read(_STATUS).splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    import resource  # does not exist on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

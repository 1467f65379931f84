"""What a machine can do and how much memory it has: the measures that timings are held against."""

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
    """Wait until the device has done what it was told."""
    torch.get_device_module(device).synchronize()


MatmulPrecision = Literal["float32", "tf32", "bf16"]
"""What products are computed in. tf32 is float32 with operands of 10 bits, on NVIDIA GPUs; bf16 is autocast to it."""


@contextmanager
def computing_in(precision: MatmulPrecision, device: torch.device) -> Iterator[None]:
    """Within its block products are computed in this precision; all else stays float32."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def matmul_rate(device: torch.device, seconds: float = 0.5) -> float:
    """Floating point operations a second of a large matrix product, the fastest within `seconds`.

    Of float32 matrices, in what precision such products are computed in where it is called.
    """
    halved = torch.is_autocast_enabled(device.type)
    size = 8192 if device.type != "cpu" else 256 if halved else 2048  # many CPUs only emulate bf16
    a = torch.rand(size, size, device=device)
    if halved:
        a = a.to(torch.get_autocast_dtype(device.type))  # not in the time that is taken
    times: list[float] = []
    while len(times) < 4 or sum(times) < seconds:
        synchronize(device)
        started = time.perf_counter()
        torch.matmul(a, a)
        synchronize(device)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


class PeakMemory:
    """Within its block: how much memory was held at most, beyond what was held when it began.

    bytes: on a GPU of tensors; else of this process in main memory (on Linux; elsewhere beyond what it ever held).
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.bytes = device, 0

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.before = torch.cuda.memory_allocated(self.device)
            return self
        with suppress(OSError, AttributeError):  # elsewhere than on Linux, or where it is forbidden
            ctypes.CDLL(None).malloc_trim(0)  # what was freed, but not given back, would be taken again unseen
            Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
        self.before = _process_memory("VmRSS")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        cuda = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if cuda else _process_memory("VmHWM")
        self.bytes = peak - self.before


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be had: of the GPU, or of main memory; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = [int(text) for path in _LIMITS if (text := _read(path).strip()).isdigit()]
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            known.append(1024 * int(line.split()[1]))
    return min(known, default=None)


def _process_memory(name: str) -> int:
    """Bytes in main memory, now (VmRSS) or at most (VmHWM). Where Linux does not tell, the second in both cases."""
    for line in _read(_STATUS).splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    import resource  # not to be had on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

"""What every test shares: shapes checked at run time, one thread a worker, the folder of real clips."""

import os
from collections.abc import Generator
from pathlib import Path

# `pytest -n` runs one process a core: each must compute on one thread, and so must the commands it starts.
# The libraries read these variables when they are first imported, hence before torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from jaxtyping import install_import_hook

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

# From here on every annotated shape in stgan is checked at each call. No test may import stgan before this.
install_import_hook("stgan", "beartype.beartype")

NO_REAL_DATA = "needs real clips: set STGAN_DATA to the folder that holds them"


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """`-n auto`: a worker a core, but at most eight; each holds its own copy of torch in memory."""
    return min((yield), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `real` where no folder of real clips is named."""
    if not os.environ.get("STGAN_DATA"):
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(pytest.mark.skip(reason=NO_REAL_DATA))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips that STGAN_DATA names; the test is skipped where it names none."""
    named = os.environ.get("STGAN_DATA")
    if not named:
        pytest.skip(NO_REAL_DATA)
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"STGAN_DATA names {named}, which is not a folder: correct it or unset it")
    return folder

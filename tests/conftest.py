"""What every test shares: shapes checked at run time, one thread a worker, the folder of real clips."""

import os
import signal
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# `pytest -n` runs one process a core: each must compute on one thread, and so must the commands it starts.
# The libraries read these variables when they are first imported, hence before torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if sys.platform == "linux":  # playwright's own browsers, which it would look for in the tests' cache
    CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", f"{CACHE}/ms-playwright")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import config, install_import_hook

# A busy machine takes any time for an example: how long one takes says nothing about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# A suite that was started in the background inherits that SIGINT is ignored; some tests interrupt themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

# torchvision's wheels on PyPI are built for CUDA. Beside a CPU build of torch their operators do not load, and the
# import ends where two of these are given shapes; torchmetrics and transformers import it too. Declared without a
# kernel they satisfy it, and what is plain Python works, as the video networks do.
try:
    import torchvision  # noqa: F401
except ImportError:
    pass
except RuntimeError:
    TORCHVISION = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        TORCHVISION.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

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


@pytest.fixture
def unchecked() -> Generator[None]:
    """Without the checks of types at run time: what a user meets, who has none."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


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


@pytest.fixture(scope="module")
def browser() -> Generator["Browser"]:
    """A Chromium, in which a test opens pages of its own; the test is skipped where none is installed."""
    from browsing import installed_browser

    with installed_browser() as chromium:
        yield chromium


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Scores are kept for the tests alone: not among the user's own, and none from an earlier version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


TINY_ACTIONS = ("grow", "left", "right")


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 16x16 clips, 20 frames: a bright square that moves left, moves right, or grows."""
    from stgan.video import write_video

    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for action in TINY_ACTIONS:
        (root / action).mkdir()
        for number in range(3):
            frames = np.full((20, 16, 16, 3), rng.integers(40, 90, 3), np.uint8)
            for t in range(20):
                x, side = {"left": (12 - t // 2, 4), "right": (2 + t // 2, 4), "grow": (6, 2 + t // 3)}[action]
                frames[t, 5 + number : 5 + number + side, x : x + side] = 230
            write_video(root / action / f"clip{number}.mp4", frames)
    return root


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with untrained 16x16 networks: everything runs, nothing can be recognised."""
    from stgan.checkpoints import ModelFolder
    from stgan.checkpoints.checkpoint import save_checkpoint
    from stgan.networks import (
        C3D,
        LRCN,
        AlexNet,
        AlexNetConfig,
        C3DConfig,
        GeneratorConfig,
        ImageGenerator,
        LRCNConfig,
        MapCodec,
        MapCodecConfig,
        MapEncoderConfig,
        MapGeneratorConfig,
        MapPrior,
        MapPriorConfig,
        Preprocessing,
        R2Plus1D,
        R2Plus1DConfig,
        TemporalStream,
        TemporalStreamConfig,
    )
    from stgan.training.map_prior_training import fit_statistics

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("model")
    pixels = Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    small = AlexNetConfig(
        channels=(4, 4, 4, 4, 4),
        kernels=(3, 3, 3, 3, 3),
        strides=(1, 1, 1, 1, 1),
        paddings=(1, 1, 1, 1, 1),
        groups=(1, 1, 1, 1, 1),
        code_size=12,
        response_norm=False,
        batch_norm=True,
        preprocessing=pixels,
    )
    classes = len(TINY_ACTIONS)
    networks = {
        "encoder": AlexNet(small),
        "generator": ImageGenerator(
            GeneratorConfig(
                code_size=12,
                hidden_size=16,
                base_channels=8,
                stages=((8, 8),),
                preprocessing=replace(pixels, size=None),
            )
        ),
        "map_codec": MapCodec(
            MapCodecConfig(
                MapEncoderConfig(channels=3, patch=2, widths=(4, 8), depth=1),
                MapGeneratorConfig(channels=3, widths=(8, 4), depth=1, patch=2),
            )
        ),
        "lrcn": LRCN(LRCNConfig(num_classes=classes, frame=small, lstm_size=8)),
        "c3d": C3D(
            C3DConfig(
                num_classes=classes,
                stages=((4,), (8,)),
                hidden_sizes=(8,),
                pad_last_pool=False,
                batch_norm=True,
                preprocessing=pixels,
            )
        ),
        "evaluator": R2Plus1D(R2Plus1DConfig(num_classes=classes, stem=4, widths=(4, 8), preprocessing=pixels)),
        "temporal_stream": TemporalStream(
            TemporalStreamConfig(num_classes=classes, stem=4, widths=(4, 8), preprocessing=pixels)
        ),
    }
    for name, frames, known in (("frame_prior", 1, classes), ("clip_prior", 16, classes)):
        config = MapPriorConfig(
            channels=3, grid=4, frames=frames, num_classes=known, widths=(8,), depth=1, embedding=16
        )
        networks[name] = MapPrior(config)
        windows = torch.randn(64, 1, 3, 4, 4) + torch.randn(64, frames, 3, 4, 4) / 2
        fit_statistics(networks[name], windows, np.random.default_rng(0))
    for name in ("map_codec", "frame_prior", "clip_prior"):
        for parameter in networks[name].parameters():
            if not parameter.any():  # as they begin, priors say nothing of what they are told
                torch.nn.init.normal_(parameter, std=0.2)
    torch.nn.init.normal_(networks["map_codec"].generator.out.weight, std=0.1)  # pictures that networks can tell apart
    for name, network in networks.items():
        actions = () if name in ("encoder", "generator", "map_codec") else TINY_ACTIONS
        save_checkpoint(root / name, network.eval(), actions=actions, card=f"# {name}\n")
    ModelFolder(
        path=root,
        name="tiny",
        actions=TINY_ACTIONS,
        encoder="encoder",
        generator="generator",
        map_codec="map_codec",
        frame_prior="frame_prior",
        clip_prior="clip_prior",
        condition={"lrcn": "lrcn", "c3d": "c3d"},
        evaluators={"evaluator": "evaluator", "temporal_stream": "temporal_stream"},
    ).save()
    return root

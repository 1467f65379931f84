"""Imported Caffe networks against OpenCV, which reads and runs the same files by descriptions of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from frames import as_videos, grey_levels, relative
from prototxts import frame_network_prototxt, generator_prototxt
from published import CAFFENET, HYBRID, Source, deepsim, frame_network, lrcn
from restated import caffe_lstm

from stgan.checkpoints.importing import import_weights

BGR_MEAN, LRCN_MEAN = np.array([104.0, 117.0, 123.0]), np.array([103.939, 116.779, 128.68])
CLOSE, FAR = 1e-4, 1e-2


def opencv(prototxt: str, model: Path, inputs: np.ndarray, output: str = "") -> np.ndarray:
    description = model.with_suffix(".prototxt")
    description.write_text(prototxt)
    net = cv2.dnn.readNetFromCaffe(str(description), str(model))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    results = []
    for each in inputs:
        net.setInput(each[None].astype(np.float32))
        results.append(net.forward(*([output] if output else []))[0].astype(np.float64))
    return np.stack(results)


def crop(frames: np.ndarray, mean: np.ndarray, order: int = -1) -> np.ndarray:
    """The middle 227x227 of RGB bytes minus a mean: "time 3 227 227", BGR unless `order` is 1."""
    top, left = (frames.shape[1] - 227) // 2, (frames.shape[2] - 227) // 2
    cropped = frames[:, top : top + 227, left : left + 227, ::order].astype(np.float64) - mean
    return cropped.transpose(0, 3, 1, 2)


def test_the_generator(write: Callable[..., Path], rng: np.random.Generator) -> None:
    layers = deepsim(rng)
    network = import_weights("generator", [write(layers, "v1", "legacy")]).network
    assert network.config.stages == ((6, 8), (7, 6), (5, 5), (4,), (3,)) and network.config.image_size == 256
    codes = rng.random((2, 20)) * 60
    model = write(layers, "layer", "shape")
    pixels = opencv(generator_prototxt(layers), model, codes)
    images = network(torch.from_numpy(codes).float())
    wanted = (pixels + BGR_MEAN[:, None, None])[:, ::-1] / 255
    assert images.shape == (2, 3, 256, 256) and relative(images, wanted) < CLOSE
    assert relative(images, wanted[:, ::-1]) > FAR  # the colours the other way round
    assert relative(images, (pixels + BGR_MEAN[::-1, None, None])[:, ::-1] / 255) > FAR  # or the means
    assert relative(images, pixels[:, ::-1] / 255) > FAR
    other_slope = opencv(generator_prototxt(layers, slope=0.2), model, codes)
    assert relative(images, (other_slope + BGR_MEAN[:, None, None])[:, ::-1] / 255) > FAR


def test_caffenet(write: Callable[..., Path], rng: np.random.Generator) -> None:
    layers = frame_network(rng, CAFFENET)
    more = [
        Source(name, "InnerProduct", (np.ones((3, 10), np.float32), np.ones(3, np.float32))) for name in ("fc7", "fc8")
    ]
    checkpoint = import_weights("encoder", [write([*layers, *more], "layer", "legacy")])
    assert checkpoint.provenance["imported"]["left out"] == ["fc7", "fc8"]
    config = checkpoint.network.config
    assert (config.channels, config.groups) == ((8, 12, 8, 10, 6), (1, 2, 1, 2, 2))
    frames = grey_levels(rng, 1, 256, 256)
    model = write(layers, "layer", "shape")
    code = checkpoint.network(as_videos(frames)[:, :, 0])
    run = lambda *prepared: opencv(frame_network_prototxt(layers), model, crop(frames, *prepared))  # noqa: E731
    assert relative(code, run(BGR_MEAN)) < CLOSE and (run(BGR_MEAN) > 0).sum() > 3
    assert relative(code, run(BGR_MEAN, 1)) > FAR and relative(code, run(BGR_MEAN[::-1])) > FAR
    assert relative(code, run(LRCN_MEAN)) > 1e-3


def lrcn_log_probabilities(layers: Sequence[Source], codes: np.ndarray, lstm: Sequence[np.ndarray]) -> np.ndarray:
    weight, bias = layers[-1].arrays
    logits = caffe_lstm(lstm, codes) @ weight.T.astype(np.float64) + bias
    per_frame = np.exp(logits - logits.max(1, keepdims=True))
    return np.log((per_frame / per_frame.sum(1, keepdims=True)).mean(0, keepdims=True))


def test_lrcn(write: Callable[..., Path], rng: np.random.Generator) -> None:
    layers = lrcn(rng)
    network = import_weights("lrcn", [write(layers)]).network
    frames = grey_levels(rng, 4, 240, 320)
    videos = as_videos(frames)
    description = frame_network_prototxt(layers[:6])
    model = write(layers[:6], "layer", "shape")
    codes = opencv(description, model, crop(frames, LRCN_MEAN))
    assert relative(network.frame_network(videos[0].transpose(0, 1)), codes) < CLOSE
    lstm = layers[6].arrays
    found = network.log_probabilities(videos)
    states = caffe_lstm(lstm, codes)
    assert relative(network.states(videos)[0], states) < CLOSE
    assert relative(found, lrcn_log_probabilities(layers, codes, lstm)) < CLOSE
    for order in ((0, 1, 3, 2), (1, 0, 2, 3), (2, 1, 0, 3)):  # other gates
        swapped = [np.concatenate([array.reshape(4, -1, *array.shape[1:])[gate] for gate in order]) for array in lstm]
        assert relative(network.states(videos)[0], caffe_lstm(swapped, codes)) > FAR
    assert relative(network.states(videos)[0], caffe_lstm(lstm, codes[::-1])) > FAR
    assert (
        relative(found, lrcn_log_probabilities(layers, opencv(description, model, crop(frames, LRCN_MEAN, 1)), lstm))
        > 1e-3
    )


def test_strides_are_the_papers_or_those_that_the_file_states(
    write: Callable[..., Path], rng: np.random.Generator
) -> None:
    stated = import_weights("encoder", [write(frame_network(rng, CAFFENET))]).network.config
    silent = import_weights("encoder", [write(frame_network(rng, CAFFENET), stated=False)]).network.config
    assert stated == silent and silent.strides == (4, 1, 1, 1, 1) and silent.paddings == (0, 2, 1, 1, 1)
    hybrid = import_weights("lrcn", [write(lrcn(rng), stated=False)]).network.config.frame
    assert hybrid.strides == (2, 2, 1, 1, 1) and hybrid.paddings == (0, 0, 1, 1, 1)
    other = import_weights("encoder", [write(frame_network(rng, HYBRID))]).network.config  # as its file states
    assert (other.strides, other.paddings) == (hybrid.strides, hybrid.paddings)

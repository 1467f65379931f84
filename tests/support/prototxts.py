"""Descriptions of the published networks by which OpenCV runs their .caffemodel files."""

from collections.abc import Sequence

from published import Source


def generator_prototxt(layers: Sequence[Source], slope: float = 0.3) -> str:
    """DeePSiM's generator: leaky ReLUs everywhere but at the end, base maps of 4x4."""
    text, bottom = _input(1, layers[0].arrays[0].shape[1]), "data"
    for layer in layers:
        text += _layer(layer, bottom)
        bottom = layer.name
        if layer.name != "deconv0":
            text += _simple("ReLU", f"relu_{bottom}", bottom, bottom, f"relu_param {{ negative_slope: {slope} }}")
        if layer.name == "defc5":
            channels = len(layer.arrays[1]) // 16
            shape = f"reshape_param {{ shape {{ dim: 0 dim: {channels} dim: 4 dim: 4 }} }}"
            text += _simple("Reshape", "maps", bottom, "maps", shape)
            bottom = "maps"
    return text


def frame_network_prototxt(layers: Sequence[Source], size: int = 227) -> str:
    """CaffeNet or LRCN's hybrid up to fc6: pooling, then normalisation, after the first two convolutions."""
    text, bottom = _input(1, 3, size, size), "data"
    for layer in layers:
        text += _layer(layer, bottom) + _simple("ReLU", f"relu_{layer.name}", layer.name, layer.name)
        bottom = layer.name
        if layer.name in ("conv1", "conv2", "conv5"):
            pool = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
            text += _simple("Pooling", f"pool_{bottom}", bottom, f"pool_{bottom}", pool)
            bottom = f"pool_{bottom}"
        if layer.name in ("conv1", "conv2"):
            norm = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
            text += _simple("LRN", f"norm_{bottom}", bottom, f"norm_{bottom}", norm)
            bottom = f"norm_{bottom}"
    return text


def _input(*shape: int) -> str:
    dims = " ".join(f"dim: {length}" for length in shape)
    return f'name: "net" layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}\n'


def _layer(layer: Source, bottom: str) -> str:
    outputs = f"num_output: {len(layer.arrays[1])}"
    if layer.type == "InnerProduct":
        return _simple(layer.type, layer.name, bottom, layer.name, f"inner_product_param {{ {outputs} }}")
    kernel = layer.arrays[0].shape[-1]
    settings = f"{outputs} kernel_size: {kernel} stride: {layer.stride} pad: {layer.pad} group: {layer.group}"
    return _simple(layer.type, layer.name, bottom, layer.name, f"convolution_param {{ {settings} }}")


def _simple(type: str, name: str, bottom: str, top: str, more: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{type}" bottom: "{bottom}" top: "{top}" {more} }}\n'

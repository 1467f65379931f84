"""Video classifiers of torchvision and of the Hugging Face hub, by name. No code of a repository is ever run."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stgan.errors import StganError, is_out_of_memory
from stgan.names import is_file_name, listed, one_line, quoted
from stgan.networks import VideoClassifier, adapt
from stgan.records import read_json

PREFIXES = ("torchvision:", "hf:")

_LARGEST = 1024  # frames, and pixels of a side
_MOST_LABELS = 100_000
_PROCESSORS = ("video_preprocessor_config.json", "preprocessor_config.json")


def is_named_classifier(name: str) -> bool:
    """Whether a name is torchvision:NAME or hf:ORG/NAME."""
    return name.startswith(PREFIXES)


def named_classifier(name: str) -> VideoClassifier:
    """The classifier of a name, with the input of its library and its class names.

    name: "torchvision:r3d_18", with the default weights of this version of torchvision (from the cache of `torch.hub`,
          or downloaded); or "hf:ORG/NAME", a video classifier of transformers in a repository of the hub (from its
          cache, or downloaded) or, as "hf:FOLDER", in a folder on this machine. Weights are safetensors, or files
          that `torch.load` reads with `weights_only`.

    Raises:
        StganError: the library is not installed, there is no such network, or it cannot be fetched.
    """
    prefix, _, rest = name.partition(":")
    library, load = {"torchvision": ("torchvision", _of_torchvision), "hf": ("transformers", _of_hub)}[prefix]
    try:
        return load(rest)
    except StganError:
        raise
    except Exception as error:  # not found, not reachable, damaged, or in need of the repository's code
        if is_out_of_memory(error):
            raise
        missing = isinstance(error, ImportError | AttributeError) or "torchvision::" in str(error)
        remedy = f"; pip install 'stgan[{library}]'" * missing
        remedy += "; torch and torchvision must be of the same build (CPU or GPU)" * ("torchvision::" in str(error))
        raise StganError(f"{quoted(name)} cannot be loaded: {one_line(error)}{remedy}") from error


def _of_torchvision(name: str) -> VideoClassifier:
    from torch.hub import load_state_dict_from_url
    from torchvision.models import (  # type: ignore[import-untyped]
        get_model,
        get_model_weights,
        list_models,
        video,
    )

    known = list_models(module=video)
    if name not in known:
        raise StganError(f"torchvision has no video classifier {name!r}; it has {listed(known, name)}")
    weights = get_model_weights(name).DEFAULT
    values = load_state_dict_from_url(weights.url, map_location="cpu", check_hash=True, weights_only=True)
    network = get_model(name, weights=None)
    network.load_state_dict(values)
    return adapt(network)


def _of_hub(name: str) -> VideoClassifier:
    from transformers import AutoConfig, AutoModelForVideoClassification

    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    _check_size(name, config)
    # An implementation of attention that a config names could be code of another repository.
    network, loading = AutoModelForVideoClassification.from_pretrained(
        name,
        config=config,
        trust_remote_code=False,
        weights_only=True,
        output_loading_info=True,
        attn_implementation="eager",
    )
    if missing := sorted(loading["missing_keys"]):
        raise StganError(f"{quoted(name)} lacks weights of a video classifier, the first are {quoted(missing[0])}")
    labels = [str(label) for _, label in sorted(network.config.id2label.items())]
    return adapt(network, _as_names(labels), processor=_processor(name))


def _check_size(name: str, config: Any) -> None:
    """StganError for a config whose clips or classes would take too much memory."""
    sizes = config.image_size if isinstance(config.image_size, list | tuple) else [config.image_size]
    numbers = [getattr(config, "num_frames", None), *sizes]
    if not all(isinstance(number, int) and 1 <= number <= _LARGEST for number in numbers):
        raise StganError(f"{quoted(name)} takes clips of {numbers} frames and pixels; both are from 1 to {_LARGEST}")
    if len(config.id2label) > _MOST_LABELS:
        raise StganError(f"{quoted(name)} has {len(config.id2label)} classes; at most {_MOST_LABELS} can be read")


def _processor(name: str) -> Any:
    """The settings of the network's processor; None if it has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for file in _PROCESSORS:
        try:
            path = Path(name, file) if os.path.isdir(name) else Path(hf_hub_download(name, file))
        except LocalEntryNotFoundError as error:  # not fetched, which does not mean that there is none
            raise StganError(f"{file} of {quoted(name)} cannot be fetched, which holds mean and std") from error
        except EntryNotFoundError:
            continue
        if path.is_file():
            values = read_json(path)
            if not isinstance(values, dict):
                raise StganError(f"{quoted(path)} holds no settings of a processor")
            kind = str(values.get("image_processor_type", ""))
            defaults = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
            return SimpleNamespace(**{**defaults, "offset": kind.startswith("Vivit"), **values})
    return None


def _as_names(labels: list[str]) -> list[str]:
    """Class names that can name a folder: other letters become hyphens, and a second class of a name has a number."""
    names: dict[str, None] = {}
    for number, label in enumerate(labels):
        name = label if is_file_name(label) else "".join(c if c not in "/\\:" else "-" for c in label).strip(". ")
        tries = (name, f"{name} {number}", f"class {number}", f"class {number} of {len(labels)}")
        names[next(each for each in tries if is_file_name(each) and each not in names)] = None
    return list(names)


def classifiers_here() -> list[str]:
    """The names of the classifiers whose weights are in the caches of their libraries on this machine."""
    return [*_torchvision_here(), *_hub_here()]


def _torchvision_here() -> list[str]:
    try:
        from torch.hub import get_dir
        from torchvision.models import get_model_weights, list_models, video
    except (ImportError, RuntimeError):  # not installed, or of another build than torch
        return []
    weights = {name: get_model_weights(name).DEFAULT.url.rpartition("/")[2] for name in list_models(module=video)}
    return [f"torchvision:{name}" for name, file in weights.items() if Path(get_dir(), "checkpoints", file).is_file()]


def _hub_here() -> list[str]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cached = scan_cache_dir()
    except CacheNotFound:
        return []
    configs = {repo.repo_id: [path / "config.json" for path in _snapshots(repo)] for repo in cached.repos}
    return sorted(f"hf:{name}" for name, paths in configs.items() if any(map(_is_of_video, paths)))


def _snapshots(repo: Any) -> list[Path]:
    return [revision.snapshot_path for revision in repo.revisions]


def _is_of_video(config: Path) -> bool:
    """Whether a config is of a video classifier. Files in the cache are not trusted."""
    try:
        values = read_json(config)
    except StganError:
        return False
    kinds = values.get("architectures") if isinstance(values, dict) else None
    return isinstance(kinds, list) and any(str(kind).endswith("ForVideoClassification") for kind in kinds)

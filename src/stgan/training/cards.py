"""Model cards: the README.md in each network's checkpoint folder."""

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment
from torch import nn

from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.training.clip_data import ClipData
from stgan.training.recipes import ModelRecipe

_ROLES = {
    "encoder": "Encoder E: the code of a frame. The generator inverts it, and the feature loss (Eq. 3) uses it.",
    "image_generator": "Image generator G: a code to a frame, trained with the composite loss of Eq. 1-5; inflated "
    "over time (Eq. 6-7) it is the video generator. It was not trained on videos.",
    "map_codec": "Map codec: an encoder of frames to map codes, which keep where things are, and the generator that "
    "draws them, trained with the composite loss of Eq. 1-5. Inflated over time (Eq. 6-7) it draws videos. It was not "
    "trained on videos.",
    "map_prior": "Map prior: a diffusion model of map codes. With one frame it is the frame prior, which never saw "
    "videos; with more frames it is the clip prior, conditional on the action and on one frame, or on neither.",
    "lrcn": "A small LRCN (Donahue et al. 2015).",
    "c3d": "A small C3D (Tran et al. 2015).",
    "r2plus1d": "A small R(2+1)D (Tran et al. 2018).",
    "tcn": "A temporal convolutional network (Lea et al. 2017) on the codes of frames and their differences.",
    "efficientnet_lite": "Encoder E: the code of a frame. The generator inverts it, and the feature loss (Eq. 3) uses "
    "it. Its convolutions are EfficientNet-Lite's, trained on ImageNet (Apache-2.0).",
    "temporal_stream": "The temporal stream of a small two-stream network (Simonyan & Zisserman 2014) on differences "
    "of neighbouring frames (Wang et al. 2016). It does not see what stands still.",
}

_LABELS = {
    "training_clips": "accuracy on training clips",
    "validation_clips": "accuracy on validation clips",
    "test_clips": "accuracy on test clips",
    "unseen_groups": "accuracy on unseen groups",
    "psnr_training_frames": "reconstruction of training frames",
    "psnr_validation_frames": "reconstruction of validation frames",
    "psnr_test_frames": "reconstruction of test frames",
}

_CARD = """\
---
library_name: stgan
pipeline_tag: {{ "video-classification" if classifier else "text-to-video" }}
---
# {{ model.name }} / {{ name }}

{{ role }}
{%- if use %} {{ use }}{% endif %}

| | |
|---|---|
| data | {{ model.description }}; {{ data.clips|length }} clips, {{ groups }} groups (actors or source videos), \
{{ data.actions|length }} actions: {{ data.actions|join(", ") }} |
| clips | {{ provenance.data.train_clips }} to train on, {{ provenance.data.validation_clips }} to validate, \
{{ provenance.data.test_clips }} to test |
| held out for validation | {{ held_out }} |
{%- if initial %}
| starts from | {{ initial }} |
{%- endif %}
| parameters | {{ "{:,}".format(parameters) }}, stored in half precision |
| steps, seed | {{ provenance.steps }}, {{ provenance.recipe.seed }} |
| training time | {{ (provenance.seconds / 60)|round(1) }} minutes on {{ provenance.device }} |
| versions | {{ versions }} |
{%- for label, value in figures %}
| {{ label }} | {{ value }} |
{%- endfor %}

The whole recipe and the hashes of the networks used in training are in `config.json` under `provenance`.
{%- if provenance.ancestors["taken from"] %}
It was not trained here but copied; the hash of its weights was {{ provenance.ancestors["taken from"] }}.
{%- endif %}
{%- if provenance.recipe.folds %}
Accuracy on unseen groups: one more training for each fold, without its groups \
({% for fold in provenance.recipe.folds %}{{ fold|join(" + ") }}{{ "; " if not loop.last }}{% endfor %}), with the \
same recipe. A clip's action is predicted by the mean probability of up to ten windows. The predictions of all folds \
are pooled; the interval is Wilson's 95 % interval. The weights in this folder are from another training on all groups.
{%- endif %}

{% if model.citation %}Data source: {{ model.citation }} {{ model.licence }}
{% endif %}"""


def model_card(name: str, network: nn.Module, provenance: dict[str, Any], model: ModelRecipe, data: ClipData) -> str:
    """The card as Markdown."""
    use = ""
    if name in model.condition:
        use = "A condition network: it steers generation, so it must not evaluate the clips that it steered."
    elif name in model.evaluators:
        use = "An evaluator: it scores generated clips and never steers."
    return (
        Environment(autoescape=False, keep_trailing_newline=True)
        .from_string(_CARD)
        .render(
            name=name,
            role=_ROLES[network.config.network],  # type: ignore[union-attr, index]
            use=use,
            classifier=bool(use),
            model=model,
            data=data,
            groups=len(set(data.groups)),
            held_out=_some(model.held_out) or "no group",
            initial=_initial(provenance),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            provenance=provenance,
            versions=", ".join(f"{tool} {version}" for tool, version in provenance["versions"].items()),
            figures=[(_LABELS.get(key, key), _figure(value)) for key, value in provenance["figures"].items()],
        )
    )


def _initial(provenance: dict[str, Any]) -> str:
    """The weights that the training started from, in words."""
    name = provenance["recipe"].get("initial")
    if not name:
        return ""
    licences = {known.name: f"{known.purpose}, {known.licence}; " for known in KNOWN_FILES}
    kept = "; not changed in training, except for the layers after them" if provenance["recipe"].get("frozen") else ""
    return f"{name} ({licences.get(name, '')}hash of the weights {provenance['ancestors'][name][:16]}){kept}"


def _some(groups: Sequence[str], most: int = 20) -> str:
    rest = len(groups) - most
    return ", ".join(groups[:most]) + (f" and {rest} more" if rest > 0 else "")


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        low, high = value["interval"]
        return f"{value['accuracy']:.3f} ({value['correct']} of {value['clips']}; 95 % interval {low:.3f}-{high:.3f})"
    return f"{value:.1f} dB PSNR"

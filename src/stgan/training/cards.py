"""Model cards: the README.md beside each network's weights."""

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment
from torch import nn

from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.training.clip_data import ClipData
from stgan.training.recipes import ModelRecipe

_ROLES = {
    "encoder": "Encoder E: the code of a frame. It defines what the generator inverts and the feature loss (Eq. 3).",
    "image_generator": "Image generator G: a code to a frame, trained with the composite loss of Eq. 1-5; inflated "
    "over time (Eq. 6-7) it is the video generator. It never saw a video.",
    "code_prior": "Code prior: which codes are codes of real frames. Trained on single frames; it knows which frames "
    "belong to one clip, never their order.",
    "sequence_prior": "Sequence prior: which sequences of codes are people who act, conditional on the action or not. "
    "Trained on clips and their labels; only the `motion` preset knows it.",
    "lrcn": "LRCN (Donahue et al. 2015), small.",
    "c3d": "C3D (Tran et al. 2015), small.",
    "r2plus1d": "R(2+1)D (Tran et al. 2018), small.",
    "tcn": "A temporal convolutional network (Lea et al. 2017) on the codes of frames and their differences.",
    "efficientnet_lite": "Encoder E: the code of a frame. It defines what the generator inverts and the feature loss "
    "(Eq. 3). Its convolutions are EfficientNet-Lite's, as they learned on ImageNet (Apache-2.0).",
    "temporal_stream": "The temporal stream of a two-stream network (Simonyan, Zisserman 2014), small, on differences "
    "of neighbouring frames (Wang et al. 2016): it sees what changes and nothing that stands still.",
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
| steps, seed | {{ provenance.steps }}{{ small_frames }}, {{ provenance.recipe.seed }} |
| training time | {{ (provenance.seconds / 60)|round(1) }} minutes on {{ provenance.device }}\
{{ " without those" if small_frames }} |
| versions | {{ versions }} |
{%- for label, value in figures %}
| {{ label }} | {{ value }} |
{%- endfor %}

The whole recipe and the hashes of the networks it was trained against are in `config.json` under `provenance`.
{%- if provenance.ancestors["taken from"] %}
It was not trained here but taken as it was; the hash of its weights was {{ provenance.ancestors["taken from"] }}.
{%- endif %}
{%- if provenance.recipe.folds %}
Accuracy on unseen groups: one more training per fold without its groups \
({% for fold in provenance.recipe.folds %}{{ fold|join(" + ") }}{{ "; " if not loop.last }}{% endfor %}), same recipe, \
each clip named by the mean probability of up to ten windows; the folds' verdicts pooled, with Wilson's 95 % interval. \
The weights in this folder are of one further training on all groups.
{%- endif %}

{% if model.citation %}Data source: {{ model.citation }} {{ model.licence }}
{% endif %}"""


def model_card(name: str, network: nn.Module, provenance: dict[str, Any], model: ModelRecipe, data: ClipData) -> str:
    """The card as Markdown."""
    use = ""
    if name in model.condition:
        use = "A condition network: it steers generation, so its own opinion of generated clips says nothing."
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
            small_frames=_small_frames(provenance["recipe"]),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            provenance=provenance,
            versions=", ".join(f"{tool} {version}" for tool, version in provenance["versions"].items()),
            figures=[(_label(key), _figure(value)) for key, value in provenance["figures"].items()],
        )
    )


def _initial(provenance: dict[str, Any]) -> str:
    """The weights that a training began with, in words."""
    name = provenance["recipe"].get("initial")
    if not name:
        return ""
    licences = {known.name: f"{known.purpose}, {known.licence}; " for known in KNOWN_FILES}
    kept = "; kept as they are, but for the layers after them" if provenance["recipe"].get("frozen") else ""
    return f"{name} ({licences.get(name, '')}hash of the weights {provenance['ancestors'][name][:16]}){kept}"


def _small_frames(recipe: dict[str, Any]) -> str:
    """Of a generator that learned small frames first, how long."""
    return f" after {recipe['small_steps']} on small frames" if recipe.get("small_stages") else ""


def _some(groups: Sequence[str], most: int = 20) -> str:
    rest = len(groups) - most
    return ", ".join(groups[:most]) + (f" and {rest} more" if rest > 0 else "")


def _label(key: str) -> str:
    names = {
        "training_clips": "accuracy on training clips",
        "validation_clips": "accuracy on validation clips",
        "test_clips": "accuracy on test clips",
        "unseen_groups": "accuracy on unseen groups",
        "psnr_training_frames": "reconstruction of training frames",
        "psnr_validation_frames": "reconstruction of validation frames",
        "psnr_test_frames": "reconstruction of test frames",
    }
    return names.get(key, key)


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        low, high = value["interval"]
        return f"{value['accuracy']:.3f} ({value['correct']} of {value['clips']}; 95 % interval {low:.3f}-{high:.3f})"
    return f"{value:.1f} dB PSNR"

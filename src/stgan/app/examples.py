"""Three clips that the page shows at once, without computing anything. None of them was selected among others."""

from functools import cache
from pathlib import Path

from markupsafe import Markup

from stgan.app.shown import gallery
from stgan.scoring import Clip

_FOLDER = Path(__file__).parent / "example_clips"
_EXAMPLES = (
    (
        "weizmann_bend.mp4",
        "bend, by the model weizmann",
        "The evaluator, which did not steer, says bend 0.94.",
        "stgan generate bend --num 1 --seed 1",
    ),
    (
        "jhmdb_golf.mp4",
        "golf, by the model jhmdb",
        "The evaluator says pick, and golf 0.13. It names the right action of 16 of 21 such clips.",
        "stgan generate golf --model jhmdb --num 1 --seed 0",
    ),
    (
        "imagenet_goldfish.mp4",
        "goldfish, by EfficientNet-Lite0 alone",
        "EfficientNet-Lite2, which did not steer, says goldfish 0.95.",
        "stgan generate goldfish --num 1 --condition examples/imagenet_classifier.py:make",
    ),
)


@cache
def examples() -> Markup:
    """The clips, what was measured on them, and the commands that made them."""
    lines = {
        file: [Markup("<b>{}</b>").format(title), Markup("{}").format(said), Markup("<code>{}</code>").format(command)]
        for file, title, said, command in _EXAMPLES
    }
    return gallery([Clip(_FOLDER / file, file) for file, *_ in _EXAMPLES], lines)

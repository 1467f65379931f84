"""What all pages have in common: their look, pictures inside the page, and figures from files that are not trusted."""

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from stgan.files import replacing

PAGE, FIGURES = "report.html", "figures"
_WIDEST, _HIGHEST = 2400, 9600  # pixels of a picture in a page
_HUGE = 1e12  # no figure of ours is larger; also keeps out what is not finite


@dataclass
class Drawing:
    """The figures of a page: each a file in the folder `figures`, and in the page."""

    folder: Path
    written: list[Path] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Where to write the figure of this name."""
        self.folder.mkdir(exist_ok=True)
        self.written.append(self.folder / f"{name}.png")
        return self.written[-1]


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill in one of the templates, atomically. Every value is escaped; the page needs no other file and no network."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fixed": fixed, "breakable": breakable}
    html = environment.get_template(template).render(**values)
    with replacing(path) as temporary:
        temporary.write_bytes(html.encode(errors="replace"))  # names from files may be no text
    return path


def fixed(value: float | int | None, digits: int = 2) -> str:
    """A number with so many digits after the point, in powers of ten if it is very large; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.2e}"


def breakable(name: str) -> Markup:
    """A file's name that may go on in the next line after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def sane_number(value: Any) -> float | None:
    """What a file gives as a figure, if it is a finite number of a size that makes sense."""
    sane = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _HUGE
    return float(value) if sane else None


def data_uri(kind: str, data: bytes) -> str:
    """An address that holds what it names."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture_uri(path: Path) -> str | None:
    """A PNG as an address that holds it, made smaller if it is very large; None if it cannot be read."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            if image.width <= _WIDEST and image.height <= _HIGHEST:
                return data_uri("image/png", path.read_bytes())
            smaller = image.convert("RGB")
            smaller.thumbnail((_WIDEST, _HIGHEST))
            return image_uri(smaller)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def image_uri(image: Image.Image) -> str:
    """A picture as an address that holds it as PNG."""
    data = io.BytesIO()
    image.save(data, "PNG")
    return data_uri("image/png", data.getvalue())

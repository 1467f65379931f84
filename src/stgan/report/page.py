"""What all pages share: templates, pictures inside the page, and checks of numbers from untrusted files."""

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import quoted

PAGE, FIGURES = "report.html", "figures"
BROWSE = "browse.js"
"""The script of pages whose films are files beside them."""
_TEMPLATES = Path(__file__).parent / "templates"
_WIDEST, _HIGHEST = 1600, 9600  # pixels of a picture in a page
_LARGEST_PNG = {"photograph": 48_000, "figure": 300_000}  # bytes; what is larger is a JPEG in the page
_MOST_PIXELS = 1 << 26  # of a picture in a folder; stgan draws half as many
_HUGE = 1e12  # larger than any number that stgan writes; also excludes infinity and NaN


@dataclass
class Drawing:
    """The figures of a page, which `drawing_beside` makes. Each is a file in the folder, and also inside the page.

    drawn: the folder that they are drawn in until all of them replace those of before.
    """

    folder: Path
    drawn: Path
    written: list[Path] = field(default_factory=list)

    def picture(self, name: str, draw: Callable[[Path], object]) -> str | None:
        """Call `draw` with the path of the figure of this name. A figure that is not drawn does not count as written.

        Returns:
            The figure as a data URI, made smaller if it is very large; None if `draw` returns False, or not a PNG.
        """
        path = self.drawn / f"{name}.png"
        if draw(path) is False:
            return None
        self.written.append(self.folder / path.name)
        return picture_uri(path)


@contextmanager
def drawing_beside(page: Path) -> Iterator[Drawing]:
    """Figures in the page's own folder, such as `report_figures` for `report.html`.

    They replace the folder when the block ends, all at once. If it fails, the former ones remain. StganError if
    `make_beside` refuses the folder.
    """
    folder = folder_beside(page, FIGURES)
    with replacing(folder) as drawn:
        drawn.mkdir()
        yield Drawing(folder, drawn)


def folder_beside(page: Path, kind: str) -> Path:
    """Make and return a folder that only this page writes. StganError if `make_beside` refuses it."""
    folder = page.with_name(f"{page.name.removesuffix('.html')}_{kind}")
    make_beside(folder)
    return folder


def make_beside(folder: Path) -> None:
    """Make a folder for files beside a page.

    Raises:
        StganError: it is a link, whose target may be any folder if the page's folder is somebody else's; or a file.
    """
    if folder.is_symlink():
        raise StganError(f"{quoted(folder)} is a link to another folder; remove it")
    if folder.exists() and not folder.is_dir():
        raise StganError(f"{quoted(folder)} is a file where the page needs a folder; rename it")
    folder.mkdir(exist_ok=True)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file is really in a folder: no link, and none on the way from the folder to it."""
    return not path.is_symlink() and path.resolve().is_relative_to(folder.resolve())


def write_page(path: Path, template: str, *, script: str = "", **values: Any) -> Path:
    """Fill in a template and write the page atomically. Every value is escaped.

    script: the name of the script of a page that shows files beside it. The page runs no other script, and loads
        nothing but files that are local or of its own site. Without a script it needs no other file, and loads none.
    """
    code = (_TEMPLATES / script).read_text(encoding="utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    html = environment().get_template(template).render(script=Markup(code), script_hash=digest, **values)
    with replacing(path) as temporary:
        temporary.write_bytes(html.encode(errors="replace"))  # names of files may not be valid Unicode
    return path


def environment() -> Environment:
    """The templates of pages, which escape every value."""
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"fixed": fixed, "breakable": breakable}
    return found


def fixed(value: float | int | None, digits: int = 2) -> str:
    """A number with so many digits after the point, with an exponent if it is very large; a dash for None."""
    if value is None:
        return "–"
    return signed(f"{round(value, digits) + 0:.{digits}f}" if abs(value) < 1e6 else f"{value:.2e}")


def signed(number: str) -> str:
    """A number as text, with the sign of minus instead of a hyphen in front."""
    return number.replace("-", "−", 1) if number.startswith("-") else number


def breakable(name: str) -> Markup:
    """A file name with a possible line break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def sane_number(value: Any) -> float | None:
    """A value from a file, if it is a finite number of plausible size; else None."""
    sane = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _HUGE
    return float(value) if sane else None


def known(value: Any, *path: str) -> Any:
    """An entry of nested tables from an untrusted file, of any type; None if there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def known_number(value: Any, *path: str) -> float | None:
    """An entry of nested tables, if it is a number of plausible size; else None."""
    return sane_number(known(value, *path))


def data_uri(kind: str, data: bytes) -> str:
    """Data as a data URI (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture_uri(path: Path) -> str | None:
    """A PNG file as a data URI, made smaller if it is large; None if it cannot be read, or is far too large."""
    if not path.is_file():  # opening a pipe would block
        return None
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            image.load()
            picture = image.convert("RGB")
            picture.thumbnail((_WIDEST, _HIGHEST))
            return image_uri(picture, "figure")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def image_uri(image: Image.Image, kind: Literal["photograph", "figure"] = "photograph") -> str:
    """A picture in RGB as a data URI: a PNG, or a JPEG if that would be large."""
    data = io.BytesIO()
    image.save(data, "PNG")
    if data.tell() <= _LARGEST_PNG[kind]:
        return data_uri("image/png", data.getvalue())
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    return data_uri("image/jpeg", data.getvalue())

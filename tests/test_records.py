"""Typed records: what is wrong with a file is said in one sentence, with its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Interval

from stgan.errors import StganError
from stgan.records import (
    OneOf,
    as_plain,
    as_record,
    checked,
    completed,
    merged,
    parse_yaml,
    read_bounded,
    read_json,
    read_record,
    read_text,
    read_yaml,
    write_record,
)


@dataclass(frozen=True)
class Circle:
    radius: float = 1.0
    colours: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Square:
    side: Annotated[float, Interval(gt=0, le=4)] = 1.0
    corner: bool | Literal["round"] = False


Shape = Annotated[Circle | Square, OneOf("shape", {"circle": Circle, "square": Square}, "circle")]


@dataclass(frozen=True)
class Drawing:
    name: str
    first: Shape = field(default_factory=Circle)
    steps: Annotated[int, Interval(ge=20, le=100)] = 30
    least: float | None = None
    splits: Mapping[int, Literal["train", "test"]] = field(default_factory=dict)
    others: dict[str, Square] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise ValueError("nobody draws")


GOOD = {
    "name": "a",
    "first": {"shape": "square", "side": 2},
    "splits": {"1": "test"},
    "others": {"b": {"corner": "round"}},
}
RECORD = Drawing("a", Square(2.0), splits={1: "test"}, others={"b": Square(corner="round")})


def test_through_a_file_and_back(tmp_path: Path) -> None:
    assert checked(Drawing, GOOD) == RECORD and isinstance(RECORD.first.side, float)
    drawing = Drawing("a", Circle(colours=((1, 2, 3),)))
    write_record(tmp_path / "drawing.json", drawing)
    assert read_record(tmp_path / "drawing.json", Drawing) == drawing
    assert as_plain(drawing)["first"]["colours"] == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, "name: must be text, not '5'"),
        ({"name": "nobody"}, "nobody draws"),
        ({"nam": "a"}, "nam: unknown name (did you mean name?); known are name, first, steps, least, splits, others"),
        ({"steps": 3}, "steps: must be at least 20, not '3'"),
        ({"steps": 30.5}, "steps: must be a whole number, not '30.5'"),
        ({"steps": True}, "steps: must be a whole number, not 'True'"),
        ({"least": "1e-3"}, "least: must be a number, not '1e-3' (in YAML, 1e-3 has to be written 1.0e-3)"),
        ({"least": "many"}, "least: must be a number, not 'many'"),
        ({"least": float("nan")}, "least: must be a finite number, not 'nan'"),
        ({"least": float("inf")}, "least: must be a finite number, not 'inf'"),
        ({"first": 3}, "first: must hold names and values"),
        ({"first": {"shape": "star"}}, "first: shape must be one of circle, square, not 'star'"),
        ({"first": {"shape": []}}, "first: shape must be one of circle, square, not '[]'"),
        ({"first": {"side": 1}}, "first.side: unknown name; known are radius, colours"),
        ({"first": {"colours": [[1, 2, 3], [1, 2]]}}, "first.colours[1][2]: is missing"),
        ({"first": {"colours": [[1, 2, "red"]]}}, "first.colours[0][2]: must be a whole number, not 'red'"),
        (
            {"first": {"shape": "square", "corner": 3}},
            "first.corner: must be true or false or must be 'round', not '3'",
        ),
        ({"others": {"b": {"side": 5}}}, "others.b.side: must be at most 4, not '5'"),
        ({"others": {"b": {"sides": 1}}}, "others.b.sides: unknown name (did you mean side?); known are side, corner"),
        ({"others": [1]}, "others: must hold names and values"),
        ({"splits": {"1": "both"}}, "splits.1: must be 'train' or 'test', not 'both'"),
        ({"name": {1}}, "holds a value that JSON cannot hold"),
    ],
)
def test_what_is_wrong_and_where(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StganError) as caught:
        as_record(Drawing, {**GOOD, **change}, Path("a.json"), "draw it anew")
    assert str(caught.value).startswith(f"'a.json': {message}") and str(caught.value).endswith("; draw it anew")
    assert "\n" not in str(caught.value)


def test_what_is_missing_and_what_is_no_record_at_all() -> None:
    for values, message in (({}, "name: is missing"), (5, "must hold names and values"), (None, "must hold names")):
        with pytest.raises(ValueError, match=message):
            checked(Drawing, values)


@pytest.mark.parametrize("text", ["", "{", "[NaN]", "Infinity", '{"a": 1, "a": 2}', "[" * 100_000])
def test_files_that_are_no_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(StganError, match="is not valid JSON") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_files_that_are_too_large_or_no_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps("x" * 100))
    with pytest.raises(StganError, match="too large: more than 50 bytes"):
        read_json(tmp_path / "a.json", most=50)
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(StganError, match="not a regular file"):
            read_json(path)
    with pytest.raises(StganError, match="cannot be read: no such file"):
        read_yaml(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    "text",
    ["a: [", "- 1", "", "a: 0x" + "f" * 5000, "a: " + "[" * 5000, "a: &n\n  b: *n\n", "a: \xff".encode("latin-1")],
)
def test_files_that_are_no_names_and_values_in_yaml(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StganError) as caught:
        read_yaml(tmp_path / "a.yaml")
    assert "a.yaml" in str(caught.value) and "\n" not in str(caught.value)
    assert parse_yaml("[1, a]") == [1, "a"]


def test_settings_replace_parts() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "d": {"e": 5}}) == {
        "a": {"b": 4, "c": 2}, "d": {"e": 5},
    }  # fmt: skip


def test_what_an_older_version_wrote_is_completed() -> None:
    plain = as_plain(RECORD)
    older = json.loads(json.dumps(plain))
    del older["least"], older["first"]["corner"], older["steps"]
    assert older != plain == completed(older, RECORD)
    assert completed({"name": "a"}, RECORD)["first"] == as_plain(Circle())  # the default, not what it is now
    assert completed({**older, "steps": 40}, RECORD) != plain
    assert completed(older, replace(RECORD, steps=40)) != as_plain(replace(RECORD, steps=40))


def test_text_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(path, 8) == "a\r\nb"
    for content, most, message in ((b"123", 2, "more than 2 bytes"), (b"\xff", 2, "not text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(StganError, match=message):
            read_text(path, most)
    assert read_text(path, errors="replace") == "\ufffd"
    path.write_bytes(b"1234")
    assert [read_bounded(path, most, beginning=True) for most in (0, 3, 4, 5)] == [b"", b"123", b"1234", b"1234"]
    (tmp_path / "zero").symlink_to("/dev/zero")
    for odd in ("zero", "."):
        with pytest.raises(StganError, match="not a regular file"):
            read_text(tmp_path / odd)

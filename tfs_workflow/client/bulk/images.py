"""Turns an image file into a row: its bytes for a signature of strings, else its pixels in the signature's shape."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfs_workflow.client.rows import MalformedInputError
from tfs_workflow.errors import ConfigError, ToolMissingError
from tfs_workflow.formats.base64_json import base64_object
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.formats.signature_text import dtype_name, tensor_text

if TYPE_CHECKING:
    from PIL.Image import Image

STDIN = "-"
# Factor and offset that turn a pixel's byte into a float.
PIXELS = {"unit": (1 / 255, 0.0), "signed": (2 / 255, -1.0), "byte": (1.0, 0.0)}
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def image_row(source: str, signature: Signature, pixels: str = "unit") -> Any:
    """The JSON value of a row that holds the image.

    `pixels` is the range of floats: unit (0 to 1), signed (-1 to 1) or byte (0 to 255). Raises MalformedInputError for
    a file that is not an image or a signature that takes none, ToolMissingError without Pillow.
    """
    content = _content(source)
    if len(signature.inputs) != 1:
        raise MalformedInputError(
            "an image fits a signature with one input", where=source, evidence=f"inputs: {', '.join(signature.inputs)}"
        )
    ((name, spec),) = signature.inputs.items()
    if dtype_name(spec) == "string":
        return base64_object(content)
    height, width, channels = _size(spec, name, source)
    image = _decoded(content, source).convert(_MODES[channels])
    if height > 0 and width > 0:
        image = image.resize((width, height))
    return _values(image, channels, dtype_name(spec), PIXELS[pixels])


def _content(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=source, fix="name an image file") from error


def _size(spec: TensorSpec, name: str, source: str) -> tuple[int, int, int]:
    """Height, width (-1: any) and channels that an input takes."""
    shape = spec.shape
    if shape is None or len(shape) != 4 or (shape[3] not in _MODES and shape[3] != -1):
        raise MalformedInputError(
            "the signature takes no image",
            where=source,
            evidence=tensor_text(name, spec),
            fix="an image fits (any, height, width, channels), or strings",
        )
    return shape[1], shape[2], shape[3] if shape[3] > 0 else 3


def _decoded(content: bytes, source: str) -> Image:
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            "the package Pillow is not installed", where=source, fix="pip install 'tfs-workflow[image]'"
        ) from error
    try:
        return Image.open(io.BytesIO(content))
    except (UnidentifiedImageError, OSError) as error:
        raise MalformedInputError("not an image that Pillow reads", where=source, evidence=str(error)) from error


def _values(image: Image, channels: int, kind: str, scale: tuple[float, float]) -> list[Any]:
    """Rows of pixels, each a list of its channels."""
    content, width = image.tobytes(), image.width * channels
    factor, offset = scale
    numbers: list[Any] = list(content) if "int" in kind else [value * factor + offset for value in content]
    lines = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    return [[line[start : start + channels] for start in range(0, width, channels)] for line in lines]

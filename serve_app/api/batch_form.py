"""What the fields of a batch upload mean: options first, then images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.api.parts import Part
from serve_app.api.reading import MAX_OPTION, merged_options
from serve_app.errors import FileTooLarge, InputError, InvalidOption, MissingImage
from serve_app.options import Options, resolve_options
from serve_app.settings import Limits

Presets = Mapping[str, Mapping[str, Any]]

_MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class BatchImage:
    """One image to work on, with everything that holds for it."""

    name: str
    data: bytes
    size: int  # more than data has where it is over the limit and was not kept
    background: bytes | None
    options: Options


class BatchForm:
    """Takes the parts of a batch upload in their order."""

    def __init__(self, query: list[tuple[str, str]], presets: Presets, limits: Limits) -> None:
        self._pairs = query
        self._presets = presets
        self._limits = limits
        self._background: bytes | None = None
        self._options: Options | None = None  # settled by the first image
        self._images = 0

    def take(self, part: Part) -> BatchImage | None:
        """Take one part; an image comes back with its options, a field is kept for the images.

        Raises:
            InputError: an unknown or bad option, one that comes after an image, or too many.
        """
        if part.name == "image":
            return self._image(part)
        if self._options is not None:
            raise InvalidOption(
                f"field '{part.name[:60]}' came after the first image, whose work had begun: send "
                "every option before the images, or in the query"
            )
        if part.name == "background_image":
            self._take_background(part)
        elif part.is_file:
            raise InvalidOption(
                f"unknown file field '{part.name[:60]}': a batch takes image and background_image"
            )
        else:
            self._take_option(part)
        return None

    @property
    def background(self) -> bytes | None:
        """The file behind every image, if there is one."""
        return self._background

    @property
    def images(self) -> int:
        """How many images came."""
        return self._images

    def options(self, own: Mapping[str, str] | None = None) -> Options:
        """What holds for an image, where it may have options of its own. Raises InvalidOption."""
        given = {**merged_options(self._pairs), **(own or {})}
        has_background = self._background is not None
        options = resolve_options(given, self._presets, has_background_image=has_background)
        # A batch is accepted as a ZIP, which says nothing about the images in it.
        return options.model_copy(update={"format": "png"}) if options.format == "auto" else options

    def check_end(self) -> None:
        """Raise MissingImage where the upload ends without an image."""
        if not self._images:
            raise MissingImage("no image in the batch: send each one as a multipart field 'image'")

    def _image(self, part: Part) -> BatchImage:
        options = self._options or self.options()
        self._options = options
        self._images += 1
        if self._images > self._limits.max_batch_files:
            raise InputError(
                f"over {self._limits.max_batch_files} images in one batch, the limit: send the "
                "rest as another one"
            )
        name = part.filename or "image"
        return BatchImage(name, part.data, part.size, self._background, options)

    def _take_background(self, part: Part) -> None:
        if self._background is not None:
            raise InvalidOption("two files in field 'background_image': send one for all images")
        if part.size > self._limits.max_bytes:
            raise FileTooLarge(
                f"background_image has {part.size:,} bytes, the limit is "
                f"{self._limits.max_bytes:,}: send a smaller file"
            )
        self._background = part.data or None

    def _take_option(self, part: Part) -> None:
        if part.size > MAX_OPTION or len(self._pairs) >= _MAX_FIELDS:
            raise InvalidOption(
                f"option '{part.name[:60]}' is longer than {MAX_OPTION} bytes, or there are over "
                f"{_MAX_FIELDS} of them: no batch needs that"
            )
        self._pairs = [*self._pairs, (part.name, part.text)]

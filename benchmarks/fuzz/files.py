"""Valid image files of every accepted format, and damaged ones made of them."""

import io
import random
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

_SIZE = (24, 32)  # (height, width)
_ODD_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_ODD_NUMBERS = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@cache
def valid_files() -> dict[str, bytes]:
    """One small file of each kind that a decoder has a path of its own for."""
    rgb = _picture()
    alpha = np.dstack([rgb, rgb[..., :1]])
    grey = rgb[..., 0]
    deep = grey.astype(np.uint16) * 257
    palette = Image.fromarray(rgb).quantize(17)
    bits = Image.fromarray(grey).convert("1")
    cmyk = Image.fromarray(rgb).convert("CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = _srgb_profile()
    return {
        "jpeg": _saved(rgb, "JPEG"),
        "jpeg-progressive": _saved(rgb, "JPEG", progressive=True),
        "jpeg-cmyk": _saved(cmyk, "JPEG"),
        "jpeg-grey": _saved(grey, "JPEG", optimize=True),
        "jpeg-turned": _saved(rgb, "JPEG", exif=exif, icc_profile=profile, dpi=(300, 300)),
        "png": _saved(rgb, "PNG"),
        "png-alpha": _saved(alpha, "PNG", icc_profile=profile),
        "png-palette": _saved(palette, "PNG", transparency=3),
        "png-16-bit": _saved(deep, "PNG"),
        "png-1-bit": _saved(bits, "PNG"),
        "png-interlaced": _interlaced_png(grey),
        "webp": _saved(rgb, "WEBP"),
        "webp-lossless": _saved(alpha, "WEBP", lossless=True),
        "webp-animated": _animated(rgb, "WEBP"),
        "gif": _saved(rgb, "GIF"),
        "gif-animated": _animated(rgb, "GIF"),
        "bmp": _saved(rgb, "BMP"),
        "bmp-palette": _saved(palette, "BMP"),
        "tiff": _saved(rgb, "TIFF"),
        "tiff-lzw": _saved(alpha, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": _saved(deep, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": _saved(rgb, "TIFF", compression="jpeg"),
        "tiff-g4": _saved(bits, "TIFF", compression="group4"),
        "avif": _saved(rgb, "AVIF"),
        "avif-alpha": _saved(alpha, "AVIF"),
    }


def mutated_file(rng: random.Random) -> tuple[str, bytes]:
    """A file with one to eight faults in it, and the kind that it was made of."""
    name = rng.choice(list(valid_files()))
    data = bytearray(valid_files()[name])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_FAULTS)(rng, data)
    if name.startswith("png") and rng.random() < 0.7:
        return name, with_checksums(bytes(data))  # else nothing but the checksum is ever tried
    return name, bytes(data)


def with_checksums(data: bytes) -> bytes:
    """The PNG with the right CRC in each of its chunks, as far as it has any."""
    out, at = bytearray(data), len(_PNG_SIGNATURE)
    while at + 12 <= len(out):
        end = at + 8 + struct.unpack_from(">I", out, at)[0]
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _odd_byte(rng: random.Random, data: bytearray) -> None:
    if data:
        data[_early(rng, data)] = rng.choice(_ODD_BYTES)


def _odd_number(rng: random.Random, data: bytearray) -> None:
    """Lengths, sides and offsets are 2 or 4 bytes, of either order."""
    size, order = rng.choice((2, 4)), rng.choice(("little", "big"))
    at = _early(rng, data)
    number = rng.choice(_ODD_NUMBERS) & (256**size - 1)
    data[at : at + size] = number.to_bytes(size, order)  # type: ignore[arg-type]


def _noise(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    size = rng.randrange(1, 33)
    data[at : at + size] = rng.randbytes(size)


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.randrange(1, 17))


def _delete(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.randrange(1, 65)]


def _repeat(rng: random.Random, data: bytearray) -> None:
    """A piece once more, up to some hundred times: headers, scans and frames come in pieces."""
    start = rng.randrange(len(data) + 1)
    piece = bytes(data[start : start + rng.randrange(1, 129)])
    at = rng.randrange(len(data) + 1)
    data[at:at] = piece * rng.choice((1, 1, 2, 100))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _splice(rng: random.Random, data: bytearray) -> None:
    """Go on with another file, from anywhere in it."""
    other = valid_files()[rng.choice(list(valid_files()))]
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other)) :]


_FAULTS = (
    *(_flip, _odd_byte, _odd_byte, _odd_number, _odd_number, _noise),
    *(_insert, _delete, _repeat, _cut, _splice),
)


def _early(rng: random.Random, data: bytearray) -> int:
    """A place in the file, more often in its first part, where the headers are."""
    return int(rng.random() ** 2 * max(0, len(data) - 1))


def _picture() -> np.ndarray:
    y, x = np.mgrid[: _SIZE[0], : _SIZE[1]]
    wave = 127 + 120 * np.sin(x * y / 40)
    return np.dstack([wave, 255 * y / _SIZE[0], 255 * x / _SIZE[1]]).astype(np.uint8)


def _saved(image: "np.ndarray | Image.Image", format: str, **options: object) -> bytes:
    body = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(body, format, **options)
    return body.getvalue()


def _animated(rgb: np.ndarray, format: str) -> bytes:
    frames = [Image.fromarray(np.roll(rgb, 8 * i, 1)) for i in range(3)]
    return _saved(frames[0], format, save_all=True, append_images=frames[1:], duration=50)


def _interlaced_png(grey: np.ndarray) -> bytes:
    """Adam7 (PNG specification, 8.2), which Pillow reads and does not write."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4))
    passes += ((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = b"".join(
        b"\0" + line.tobytes() for y, x, dy, dx in passes for line in grey[y::dy, x::dx]
    )
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return _PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _srgb_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

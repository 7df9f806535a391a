"""Pixels of a picture as models take them: RGB, upright, on white, and no more of them than a bound.

A picture is converted in bands, so that beside the decoded file, in its own mode, and the result there is never another
whole copy: a palette picture of 64 megapixels takes 64 MiB, and its RGBA form would take 256.
"""

import math

from PIL import ExifTags, Image

from services.serving.errors import InvalidArgument

_BAND_PIXELS = 1 << 20
"""Pixels that are converted together, about."""
_DARK = 16_384
"""A 16-bit picture whose brightest pixel is below is nearly black at 8 bits: a quarter of the range."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright; those not listed are."""

_TURNED = (5, 6, 7, 8)
"""EXIF orientations with which width and height change places."""


def reduction(width: int, height: int, max_pixels: int) -> int:
    """By what whole number each side is divided so that the pixels are within a bound.

    Args:
        width: Pixels.
        height: Pixels.
        max_pixels: The bound; 0 for none.
    """
    return math.ceil(math.sqrt(width * height / max_pixels)) if max_pixels and width * height > max_pixels else 1


def decoded(picture: Image.Image, max_pixels: int) -> Image.Image:
    """Decodes an opened picture to an upright one of mode RGB without metadata.

    Transparency is laid on white. A reduced pixel is the mean of those that it stands for.

    Args:
        picture: As Pillow opened it.
        max_pixels: See `reduction`.

    Raises:
        InvalidArgument: About no field, if it is a depth image.
    """
    size = picture.size
    factor = reduction(*size, max_pixels)
    if factor > 1 and picture.format in ("JPEG", "MPO"):
        # The decoder halves, quarters or eighths a JPEG for less than the cost of decoding it whole.
        picture.draft(picture.mode, (math.ceil(size[0] / factor), math.ceil(size[1] / factor)))
        factor = reduction(*picture.size, max_pixels)
    picture.load()
    if picture.mode == "P" and picture.palette is None:
        raise ValueError("an image without its palette has no colours")
    _check_depth(picture)
    width, height = picture.size
    rows = max(1, _BAND_PIXELS // width // factor) * factor
    whole = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    for top in range(0, height, rows):
        band = _to_rgb(picture.crop((0, top, width, min(top + rows, height))))
        whole.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return _upright(whole, picture)


def _check_depth(picture: Image.Image) -> None:
    if not picture.mode.startswith("I"):
        return
    darkest, brightest = picture.getextrema()
    if isinstance(brightest, (int, float)) and 0 < brightest < _DARK and darkest != brightest:
        raise InvalidArgument(
            "",
            f"the image has 16 bits a pixel, and its brightest pixel is {brightest:,.0f} of 65,535: it would be "
            "nearly black. Send the colour image if this is a depth image, or scale it to 8 bits",
            reason="IMAGE_TOO_DARK",
        )


def _upright(whole: Image.Image, picture: Image.Image) -> Image.Image:
    """Turns pixels as a picture's EXIF orientation says.

    Pillow's own function writes all EXIF anew, and fails on what cameras and editors leave there.
    """
    method = _UPRIGHT.get(_orientation(picture))
    return whole if method is None else whole.transpose(method)


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8."""
    try:
        said = picture.getexif().get(ExifTags.Base.Orientation)
        return int(said) if said in _UPRIGHT else 1
    except Exception:  # many types, as with decoding; without sound EXIF the picture is as good as stored
        return 1


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height once the picture is turned as its EXIF orientation says."""
    width, height = picture.size
    return (height, width) if _orientation(picture) in _TURNED else (width, height)


def upright_size_of(size: tuple[int, int], metadata: dict[str, bytes]) -> tuple[int, int]:
    """The same without opening the picture.

    Args:
        size: As stored.
        metadata: What Pillow would put into `Image.info`.
    """
    if not metadata:
        return size
    bare = Image.new("1", (1, 1))
    bare.info.update(metadata)
    return size[::-1] if _orientation(bare) in _TURNED else size


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255, which would make nearly everything white.
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return picture.convert("RGB")

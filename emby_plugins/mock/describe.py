"""Describe images: measured facts, and the sentences that state them. Nothing is guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageChops, ImageStat

from emby_plugins.mock.colors import Color, color_name
from emby_plugins.mock.image_files import Attachment, Picture

_SAMPLE_SIDE = 128
_COMPARED_SIDE = 32
_MAX_COMPARISONS = 8
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")

# Four bits a channel keep the colors to be named few; 8 puts each in the middle of its step.
_COARSE = [min(255, (level & 0xF0) + 8) for level in range(256)] * 3


class ColorShare(NamedTuple):
    """A color by its name, the percentage of the picture that has it, and a typical `#rrggbb`."""

    name: str
    share: int
    hex: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured of one picture. Shares and brightness are percentages."""

    picture: Picture
    colors: tuple[ColorShare, ...]
    brightness: int
    mean: Color
    transparent: int


def measure(picture: Picture) -> Facts:
    """Measure a picture on a sample of at most 128 x 128 of its pixels."""
    size = (min(picture.pixels.width, _SAMPLE_SIDE), min(picture.pixels.height, _SAMPLE_SIDE))
    sample = picture.pixels.resize(size, Image.Resampling.NEAREST).convert("RGBA")
    mask = sample.getchannel("A").point([0] * 128 + [255] * 128)
    opaque = mask.histogram()[255]
    if not opaque:
        return Facts(picture, (), 0, (0, 0, 0), 100)
    flat = sample.convert("RGB")
    red, green, blue = (round(value) for value in ImageStat.Stat(flat, mask).mean)
    light = ImageStat.Stat(flat.convert("L"), mask).mean[0]
    transparent = round(100 - 100 * opaque / (size[0] * size[1]))
    names = _named_shares(flat, mask, opaque)
    return Facts(picture, names, round(light / 2.55), (red, green, blue), transparent)


def _named_shares(sample: Image.Image, mask: Image.Image, opaque: int) -> tuple[ColorShare, ...]:
    """Up to three colors of the sample, the most frequent first."""
    coarse = sample.point(_COARSE)
    coarse.putalpha(mask)
    counts: dict[str, int] = {}
    typical: dict[str, str] = {}
    for count, pixel in sorted(coarse.getcolors(_SAMPLE_SIDE**2) or [], reverse=True):
        if isinstance(pixel, tuple) and pixel[3]:
            name = color_name(*pixel[:3])
            counts[name] = counts.get(name, 0) + count
            typical.setdefault(name, f"#{bytes(pixel[:3]).hex()}")
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shares = [ColorShare(name, round(100 * n / opaque), typical[name]) for name, n in ranked[:3]]
    return tuple(color for color in shares if color.share >= 3) or tuple(shares[:1])


def measurements(pictures: Sequence[Picture]) -> list[dict[str, list[object]]]:
    """What was measured of each picture, by the names that properties of a schema may have.

    A property has several candidates, of which the first that its schema accepts is used. Parts of
    a picture are objects by the names of their properties.
    """
    everything = [_measurements(measure(picture)) for picture in pictures]
    count: list[object] = [len(everything)]
    names = ("imagecount", "images", "numimages", "numberimages", "imagestotal", "total", "count")
    return [{**dict.fromkeys(names, count), **measured} for measured in everything]


def _measurements(facts: Facts) -> dict[str, list[object]]:
    picture, colors = facts.picture, [_color_parts(color) for color in facts.colors]
    width, height = picture.pixels.size
    side = "landscape" if width > height else "portrait" if width < height else "square"
    size, kind = f"{width}x{height}", picture.format.lower()
    is_transparent = picture.pixels.mode == "RGBA"
    percent, level = facts.brightness, _level(facts)
    names: list[object] = [color.name for color in facts.colors]
    dominant: list[object] = (
        [facts.colors[0].name, facts.colors[0].hex, colors[0]] if colors else []
    )
    found: dict[str, list[object]] = {
        "width w": [width],
        "height h": [height],
        "size dimensions dimension dims resolution": [size, [width, height]],
        "pixels pixelcount totalpixels": [width * height],
        "megapixels": [round(width * height / 1e6, 3)],
        "aspectratio aspect ratio": [round(width / height, 3), size.replace("x", ":")],
        "orientation": [side],
        "landscape": [side == "landscape"],
        "portrait": [side == "portrait"],
        "square": [side == "square"],
        "format fmt filetype fileformat": [picture.format],
        "extension ext fileextension suffix": [kind.replace("jpeg", "jpg")],
        "mediatype mimetype mime contenttype": [f"image/{kind}"],
        "brightness lightness": [percent, percent / 100, level],
        "tone exposure": [level],
        "colors dominantcolors maincolors primarycolors colorpalette palette colornames": [
            names,
            colors,
        ],
        "dominantcolor maincolor primarycolor color": dominant,
        "dominantcolorhex maincolorhex primarycolorhex": dominant[1:2],
        "secondarycolor": names[1:2],
        "meancolor averagecolor hex colorhex": [f"#{bytes(facts.mean).hex()}"],
        "transparency transparent alpha alphachannel": [is_transparent, facts.transparent],
        "frames framecount numframes": [picture.frames],
        "animated animation": [picture.frames > 1],
        "description caption summary alttext alt": [f"The image is {_description(facts)}."],
    }
    return _by_name(found)


def _by_name(found: dict[str, list[object]]) -> dict[str, list[object]]:
    return {name: values for names, values in found.items() for name in names.split()}


def _color_parts(color: ColorShare) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {
        "name color label": [color.name, color.hex],
        "hex hexcode code": [color.hex],
        "share percentage percent coverage proportion": [color.share, color.share / 100],
    }
    return _by_name(found)


def describe(facts: list[Facts]) -> list[str]:
    """One sentence for each image, and one for each way a later one differs from the first."""
    if len(facts) == 1:
        return [f"The image is {_description(facts[0])}."]
    sentences = [f"Image {index} is {_description(fact)}." for index, fact in enumerate(facts, 1)]
    compared = enumerate(facts[1 : _MAX_COMPARISONS + 1], 2)
    return sentences + [_difference(facts[0], fact, index) for index, fact in compared]


def _description(facts: Facts) -> str:
    picture = facts.picture
    size = f"{picture.pixels.width}x{picture.pixels.height} pixels"
    clauses = [f"a {picture.format} of {size}"]
    if picture.address is not None:
        clauses = [f"{picture.address} (not fetched; the mock generated a placeholder of {size})"]
    if facts.colors:
        *others, last = (f"{color.name} ({color.share}%)" for color in facts.colors)
        clauses.append(f"mostly {', '.join(others)}{' and ' if others else ''}{last}")
    clauses.append(f"{_level(facts)} (brightness {facts.brightness}%)")
    if facts.transparent:
        clauses.append(f"{facts.transparent}% transparent")
    else:
        has_alpha = picture.pixels.mode == "RGBA"
        clauses.append("with an alpha channel" if has_alpha else "without transparency")
    if picture.frames > 1:
        clauses.append(f"animated in {picture.frames} frames")
    return ", ".join([*clauses, *([picture.origin] if picture.origin else [])])


def _level(facts: Facts) -> str:
    return "dark" if facts.brightness < 34 else "bright" if facts.brightness > 66 else "medium"


def _difference(first: Facts, other: Facts, index: int) -> str:
    a, b = first.picture.pixels, other.picture.pixels
    size = "the same size"
    if a.size != b.size:
        times = b.width * b.height / (a.width * a.height)
        size = f"{times:.2f} times the pixels ({b.width}x{b.height}, not {a.width}x{a.height})"
    gap = other.brightness - first.brightness
    light = f"{abs(gap)} points {'brighter' if gap > 0 else 'darker'}" if gap else "equally bright"
    mean, before = (f"{color_name(*f.mean)} (#{bytes(f.mean).hex()})" for f in (other, first))
    return (
        f"Compared with image 1, image {index} has {size}, is {light}, has mean color {mean} "
        f"instead of {before}, and is {_similarity(a, b)}% similar."
    )


def _similarity(first: Image.Image, second: Image.Image) -> int:
    """100 minus the mean difference of two thumbnails on white, as a percentage of the range."""
    thumbnails = []
    for pixels in (first, second):
        small = pixels.resize((_COMPARED_SIDE, _COMPARED_SIDE), Image.Resampling.BOX)
        white = Image.new("RGBA", small.size, "white")
        thumbnails.append(Image.alpha_composite(white, small.convert("RGBA")).convert("RGB"))
    means = ImageStat.Stat(ImageChops.difference(*thumbnails)).mean
    return round(100 - sum(means) / len(means) / 2.55)


def describe_file(attachment: Attachment) -> str:
    """A sentence about a file that is not an image; the first line of a text."""
    if attachment.data is None:
        return f'The file "{attachment.name}" was sent by id only, and the mock stores no files.'
    size = len(attachment.data)
    sentence = f'The file "{attachment.name}" is {attachment.media_type} of {size} bytes'
    if attachment.media_type and attachment.media_type.startswith(_TEXT_TYPES):
        lines = attachment.data[:4000].decode("utf-8", "replace").strip().splitlines()
        if lines:
            return f'{sentence}; its first line is "{lines[0][:200]}".'
    return f"{sentence}."

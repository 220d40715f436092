"""Looks at pictures: measured facts, and the sentences that tell them. No guessing, no markdown."""

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageStat

from emby_plugins.mock.colours import Colour, colour_name
from emby_plugins.mock.pictures import Attachment, Picture

_SAMPLE = 128
_COMPARED = 32
_MAX_COMPARISONS = 8
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured of one picture. Shares and brightness are percentages."""

    picture: Picture
    colours: tuple[tuple[str, int], ...]
    brightness: int
    mean: Colour
    transparent: int


def measure(picture: Picture) -> Facts:
    """Measure a picture on a sample of at most 128 x 128 of its pixels."""
    size = (min(picture.pixels.width, _SAMPLE), min(picture.pixels.height, _SAMPLE))
    sample = picture.pixels.resize(size, Image.Resampling.NEAREST)
    total = size[0] * size[1]
    mask = None
    opaque = total
    if sample.mode == "RGBA":
        mask = sample.getchannel("A").point([0] * 128 + [255] * 128)
        opaque = mask.histogram()[255]
    colour = sample.convert("RGB")
    if not opaque:
        return Facts(picture, (), 0, (0, 0, 0), 100)
    red, green, blue = (round(value) for value in ImageStat.Stat(colour, mask).mean)
    light = ImageStat.Stat(colour.convert("L"), mask).mean[0]
    names = _name_colours(colour, mask, opaque)
    clear = round(100 * (total - opaque) / total)
    return Facts(picture, names, round(light / 2.55), (red, green, blue), clear)


def _name_colours(
    sample: Image.Image, mask: Image.Image | None, opaque: int
) -> tuple[tuple[str, int], ...]:
    # Four bits a channel keep the colours to be named few; 8 puts each in the middle of its step.
    coarse = sample.point([min(255, (level & 0xF0) + 8) for level in range(256)] * 3)
    if mask is not None:
        coarse.putalpha(mask)
    counts: dict[str, int] = {}
    for count, pixel in coarse.getcolors(_SAMPLE * _SAMPLE) or []:
        if isinstance(pixel, tuple) and (len(pixel) == 3 or pixel[3]):
            name = colour_name(pixel[0], pixel[1], pixel[2])
            counts[name] = counts.get(name, 0) + count
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shares = [(name, round(100 * count / opaque)) for name, count in ranked[:3]]
    return tuple((name, share) for name, share in shares if share >= 3) or tuple(shares[:1])


def describe(facts: list[Facts]) -> list[str]:
    """One sentence for each picture, and one for each way a later one differs from the first."""
    if len(facts) == 1:
        return [f"The image is {_portrait(facts[0])}."]
    told = [f"Image {index} is {_portrait(fact)}." for index, fact in enumerate(facts, 1)]
    for index, fact in enumerate(facts[1 : _MAX_COMPARISONS + 1], 2):
        told.append(_difference(facts[0], fact, index))
    return told


def _portrait(facts: Facts) -> str:
    picture = facts.picture
    size = f"{picture.pixels.width}x{picture.pixels.height} pixels"
    if picture.stand_in is not None:
        start = f"{picture.stand_in}, not fetched: the mock paints a stand-in of {size}"
    else:
        start = f"a {picture.format} of {size}"
    clauses = [start]
    if facts.colours:
        shares = [f"{name} ({share}%)" for name, share in facts.colours]
        clauses.append(f"mostly {_joined(shares)}")
    level = "dark" if facts.brightness < 34 else "bright" if facts.brightness > 66 else "mid"
    clauses.append(f"{level} (brightness {facts.brightness}%)")
    if facts.transparent:
        clauses.append(f"{facts.transparent}% transparent")
    elif picture.pixels.mode == "RGBA":
        clauses.append("with an alpha channel")
    else:
        clauses.append("without transparency")
    if picture.frames > 1:
        clauses.append(f"animated in {picture.frames} frames")
    if picture.origin:
        clauses.append(picture.origin)
    return ", ".join(clauses)


def _difference(first: Facts, other: Facts, index: int) -> str:
    a, b = first.picture.pixels, other.picture.pixels
    if a.size == b.size:
        size = "the same size"
    else:
        times = b.width * b.height / (a.width * a.height)
        size = f"{times:.2f} times the pixels ({b.width}x{b.height} against {a.width}x{a.height})"
    gap = other.brightness - first.brightness
    light = f"{abs(gap)} points {'brighter' if gap > 0 else 'darker'}" if gap else "equally bright"
    means = f"mean colour {colour_name(*other.mean)} (#{bytes(other.mean).hex()})"
    against = f"{colour_name(*first.mean)} (#{bytes(first.mean).hex()})"
    return (
        f"Compared with image 1, image {index} has {size}, is {light}, has {means} against "
        f"{against}, and is {_similarity(a, b)}% similar."
    )


def _similarity(first: Image.Image, second: Image.Image) -> int:
    """100 less the mean difference of two thumbnails, as a percentage of the range."""
    thumbnails = []
    for pixels in (first, second):
        small = pixels.resize((_COMPARED, _COMPARED), Image.Resampling.BOX).convert("RGBA")
        paper = Image.new("RGBA", small.size, "white")
        thumbnails.append(Image.alpha_composite(paper, small).convert("RGB"))
    means = ImageStat.Stat(ImageChops.difference(*thumbnails)).mean
    return round(100 - sum(means) / len(means) / 2.55)


def describe_file(attachment: Attachment) -> str:
    """A sentence about a file that is not an image; the first line of a text."""
    if attachment.data is None:
        return f'The file "{attachment.name}" was given by id only, and the mock keeps no files.'
    size = len(attachment.data)
    sentence = f'The file "{attachment.name}" is {attachment.media_type} of {size} bytes'
    if attachment.media_type and attachment.media_type.startswith(_TEXT_TYPES):
        lines = attachment.data[:4000].decode("utf-8", "replace").strip().splitlines()
        if lines:
            return f'{sentence}; its first line is "{lines[0][:200]}".'
    return f"{sentence}."


def _joined(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))

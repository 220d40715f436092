"""Edit images by an instruction, step by step in the order of its words."""

import re
from collections.abc import Callable
from functools import partial
from itertools import product

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from emby_plugins.mock.colors import COLOR_WORD, NAMED, Color, mix
from emby_plugins.mock.landscape import SeededRandom

Edit = Callable[[Image.Image, re.Match[str]], Image.Image]

_MAX_STEPS = 12
_MAX_SIDE = 4096
_ROTATED_SIDE = 2048
_SHAPE_SIDE = 128
_MASK_SIDE = 1024
_LEAST_SHARE = 0.05
_VIVID = ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink")
_QUARTERS = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


def names_an_edit(text: str) -> bool:
    """Whether the text names an edit the mock knows."""
    return any(words.search(text) for words, _ in _STEPS)


def edit(image: Image.Image, instruction: str, *, variant: int = 0) -> Image.Image:
    """The image with every edit the instruction names applied in its order; a tint if none."""
    found = [
        (match.start(), number, match)
        for number, (words, _) in enumerate(_STEPS)
        for match in words.finditer(instruction)
    ]
    if not found:
        return _keep_alpha(partial(_tint, instruction=instruction, variant=variant), image)
    for _, number, match in sorted(found, key=lambda item: item[:2])[:_MAX_STEPS]:
        image = _STEPS[number][1](image, match)
    return image


def _keep_alpha(change: Callable[[Image.Image], Image.Image], image: Image.Image) -> Image.Image:
    """The image with its colors changed and its transparency as it was."""
    changed = change(image.convert("RGB")).convert("RGB")
    if image.mode == "RGBA":
        changed.putalpha(image.getchannel("A"))
    return changed


def _sepia(image: Image.Image) -> Image.Image:
    gray = ImageOps.grayscale(image)
    return ImageOps.colorize(gray, (36, 22, 12), (255, 240, 206), (178, 134, 88))


def _tint(image: Image.Image, instruction: str, variant: int) -> Image.Image:
    """The image in the color the instruction names, or in one that its text decides."""
    word = COLOR_WORD.search(instruction)
    chance = SeededRandom(f"{instruction}\n{variant}")
    color = NAMED[word[1].lower() if word else chance.choice(_VIVID)]
    dark, light = mix(color, (0, 0, 0), 0.75), mix(color, (255, 255, 255), 0.82)
    tinted = ImageOps.colorize(ImageOps.grayscale(image), dark, light, color)
    return Image.blend(image, tinted, 0.6)


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(2.0, max(image.size) / 64)))


def _relief(image: Image.Image) -> Image.Image:
    """The picture lit from one side, as if raised: what the mock makes of "3D style"."""
    soft = ImageOps.grayscale(image).filter(ImageFilter.GaussianBlur(1))
    # Embossed, a flat area is 128, and hard light does not change it.
    stronger = [min(255, max(0, level * 2 - 128)) for level in range(256)]
    light = soft.filter(ImageFilter.EMBOSS).point(stronger)
    return ImageChops.hard_light(image, light.convert("RGB"))


def _brightness(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def _rotate(image: Image.Image, match: re.Match[str]) -> Image.Image:
    words = match[0].lower()
    number = re.search(r"\d{1,3}(?:\.\d+)?", words)
    degrees = 180.0 if "upside" in words else float(number[0]) % 360 if number else 90.0
    if re.search("left|counter|anti", words):
        degrees = -degrees % 360
    if degrees % 90 == 0:
        return image.transpose(_QUARTERS[int(degrees)]) if degrees else image
    canvas = image.convert("RGBA")
    # It grows with every rotation, and an instruction may ask for many.
    canvas.thumbnail((_ROTATED_SIDE, _ROTATED_SIDE))
    return canvas.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)


def _flip(image: Image.Image, match: re.Match[str]) -> Image.Image:
    return ImageOps.flip(image) if "vertical" in match[0].lower() else ImageOps.mirror(image)


def _crop(image: Image.Image, match: re.Match[str]) -> Image.Image:
    """The middle three quarters, or the largest square if the instruction wants a square."""
    width, height = image.size
    wide, tall = max(1, width * 3 // 4), max(1, height * 3 // 4)
    if "square" in match[0].lower():
        wide = tall = min(width, height)
    left, top = (width - wide) // 2, (height - tall) // 2
    return image.crop((left, top, left + wide, top + tall))


def _resize(image: Image.Image, match: re.Match[str]) -> Image.Image:
    words = match[0].lower()
    exact = re.search(r"(\d{1,4})\s*[x×]\s*(\d{1,4})", words)  # noqa: RUF001 - people type it
    factor = 0.5 if re.search("small|shrink|half|reduce", words) else 2.0
    width, height = (round(side * factor) for side in image.size)
    if exact:
        width, height = int(exact[1]), int(exact[2])
    # Never past the limit, unless the picture is already larger: then the size is unchanged.
    limit = max(_MAX_SIDE, *image.size)
    size = (min(limit, max(1, width)), min(limit, max(1, height)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _remove_background(image: Image.Image, _: re.Match[str]) -> Image.Image:
    """Keep the main shapes that differ from the colors of the border.

    If little is left, fewer colors are taken for the background's. Shapes are found on a thumbnail,
    for speed; their edges come from a larger copy.
    """
    result = image.convert("RGB")
    fine, coarse = result.copy(), result.copy()
    fine.thumbnail((_MASK_SIDE, _MASK_SIDE), Image.Resampling.BOX)
    coarse.thumbnail((_SHAPE_SIDE, _SHAPE_SIDE), Image.Resampling.BOX)
    border, left = _border_colors(coarse), _border_colors(coarse.crop((0, 0, 1, coarse.height)))
    for colors, reach in ((border, 40), (border, 20), (border, 10), (left, 40)):
        shapes = _main_shapes(_differing(coarse, colors, reach))
        if shapes.histogram()[255] >= _LEAST_SHARE * coarse.width * coarse.height:
            break
    inner = shapes.resize(fine.size, Image.Resampling.BILINEAR)
    outer = shapes.filter(ImageFilter.MaxFilter(5)).resize(fine.size, Image.Resampling.BILINEAR)
    alpha = ImageChops.lighter(inner, ImageChops.multiply(outer, _differing(fine, colors, reach)))
    alpha = alpha.resize(image.size, Image.Resampling.BILINEAR)
    if image.mode == "RGBA":
        alpha = ImageChops.darker(alpha, image.getchannel("A"))
    result.putalpha(alpha)
    return result


def _border_colors(image: Image.Image) -> list[Color]:
    """The main colors along the four edges."""
    width, height = image.size
    border = Image.new("RGB", (width + height, 2))
    for row, (x, y) in enumerate(((0, 0), (width - 1, height - 1))):
        border.paste(image.crop((0, y, width, y + 1)), (0, row))
        border.paste(image.crop((x, 0, x + 1, height)).transpose(_QUARTERS[90]), (width, row))
    counted = border.quantize(16).convert("RGB").getcolors() or []
    return [(c[0], c[1], c[2]) for _, c in counted if isinstance(c, tuple)]


def _differing(image: Image.Image, colors: list[Color], reach: int) -> Image.Image:
    """A mask of the pixels that differ by more than `reach` from each of the colors."""
    distance = Image.new("L", image.size, 255)
    for color in colors:
        bands = ImageChops.difference(image, Image.new("RGB", image.size, color)).split()
        most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
        distance = ImageChops.darker(distance, most)
    return distance.point([255 * (level > reach) for level in range(256)])


def _main_shapes(mask: Image.Image) -> Image.Image:
    """The shapes that reach the middle of a mask, without holes and small ones, a pixel smaller."""
    # A margin joins all that is outside.
    filled = ImageOps.expand(mask, 1, 0)
    ImageDraw.floodfill(filled, (0, 0), 1)
    filled = filled.point([255 * (level != 1) for level in range(256)])
    # Smaller, so that no thin line joins two shapes.
    shapes = filled.filter(ImageFilter.MinFilter(3))
    width, height = shapes.size
    rows, columns = range(int(height * 0.34), int(height * 0.8)), range(width // 4, width * 3 // 4)
    # Each shape gets a level of its own, 1 to 254.
    label = 0
    for at in product(columns, rows):
        if shapes.getpixel(at) == 255 and label < 254:
            label += 1
            ImageDraw.floodfill(shapes, at, label)
    sizes = [0, *shapes.histogram()[1 : label + 1]]
    kept = [level for level in range(1, label + 1) if sizes[level] >= max(sizes) / 4]
    return ImageOps.crop(shapes.point([255 * (level in kept) for level in range(256)]), 1)


def _recolor(change: Callable[[Image.Image], Image.Image]) -> Edit:
    return lambda image, _: _keep_alpha(change, image)


# Bounded, so that no instruction makes the match try its digits and dots in every way. (Possessive
# quantifiers would do, but this pattern never matches with them on Python 3.11.2.)
_FILLER = (
    r"(?:\W{1,3}(?:it|this|the|image|picture|photo|by|to|about|\d{1,3}(?:\.\d{1,3})?|degrees?)\b)"
    r"{0,6}"
)
_SIDEWAYS = r"\W+(?:left|right|(?:counter|anti)?-?clockwise)\b"
_SIZE = r"\d{1,4}\s*[x×]\s*\d{1,4}"  # noqa: RUF001 - people type it
_ROTATES = (
    rf"upside[ -]down\b|(?:rotat\w*|turn){_FILLER}"
    rf"(?:{_SIDEWAYS}|(?<=\d)\b|(?<=degrees)\b|(?<=degree)\b)|rotat\w*"
)
_FLIPS = r"(?:flip|mirror)\w*(?:(?:\W+\w+){0,3}?\W+(?:horizontal|vertical)\w*)?"
_REMOVES_BACKGROUND = (
    r"remov\w*\W+(?:\w+\W+){0,2}?background\b|background\W+(?:removed|transparent)\b|"
    r"transparent\b|cut ?out\b"
)
_RESIZES = (
    rf"resiz\w*(?:\W+\w+){{0,3}}?\W+{_SIZE}|(?:bigger|larger|smaller)\b|"
    r"(?:enlarge|upscale|shrink|resiz)\w*|(?:half|double) (?:the|its) size\b"
)
_GRAYSCALES = r"gr[ea]y ?scale\b|black[ -]and[ -]white\b|monochrome\b|desaturate|b&w\b"
_STEPS = tuple(
    (re.compile(rf"\b(?:{words})", re.IGNORECASE), apply)
    for words, apply in (
        (_GRAYSCALES, _recolor(ImageOps.grayscale)),
        (r"sepia\b|vintage\b", _recolor(_sepia)),
        (_ROTATES, _rotate),
        (_FLIPS, _flip),
        (r"blur\w*|soften\b|out of focus\b", _recolor(_blur)),
        (r"invert\w*|negative\b", _recolor(ImageOps.invert)),
        (r"emboss\w*|3[ -]?d\b|relief\b", _recolor(_relief)),
        (_REMOVES_BACKGROUND, _remove_background),
        (r"crop\w*(?:(?:\W+\w+){0,4}?\W+square\b)?", _crop),
        (_RESIZES, _resize),
        (r"(?:brighte|lighte)[nr]\w*", _recolor(_brightness(1.35))),
        (r"darke[nr]\w*", _recolor(_brightness(0.65))),
    )
)

"""Edits pictures as an instruction says, step by step in the order of its words."""

import re
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from emby_plugins.mock.canvas import Dice
from emby_plugins.mock.colours import COLOUR_WORD, NAMED, Colour, mix

Edit = Callable[[Image.Image, re.Match[str]], Image.Image]

_MAX_STEPS = 12
_MAX_SIDE = 4096
_TURNED_SIDE = 2048
_BACKGROUND_SIDE = 160
_BACKGROUND_REACH = 48


def _on_colour(change: Callable[[Image.Image], Image.Image]) -> Edit:
    """An edit of the colours that leaves transparency as it is."""

    def apply(image: Image.Image, _: re.Match[str]) -> Image.Image:
        changed = change(image.convert("RGB")).convert("RGB")
        if image.mode == "RGBA":
            changed.putalpha(image.getchannel("A"))
        return changed

    return apply


def _sepia(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(
        ImageOps.grayscale(image), (36, 22, 12), (255, 240, 206), (178, 134, 88)
    )


def _relief(image: Image.Image) -> Image.Image:
    """The picture lit from one side, as if raised: what the mock makes of "3D style"."""
    emboss = (
        ImageOps.grayscale(image).filter(ImageFilter.GaussianBlur(1)).filter(ImageFilter.EMBOSS)
    )
    lit = ImageOps.autocontrast(emboss, cutoff=0.5)
    return ImageChops.hard_light(image, Image.merge("RGB", (lit, lit, lit)))


def _rotate(image: Image.Image, match: re.Match[str]) -> Image.Image:
    words = match[0].lower()
    number = re.search(r"\d{1,3}(?:\.\d+)?", words)
    degrees = float(number[0]) % 360 if number else 90.0
    if "upside" in words:
        degrees = 180.0
    if "left" in words or "counter" in words or "anti" in words:
        degrees = 360 - degrees
    turned = {
        0.0: None,
        90.0: Image.Transpose.ROTATE_270,
        180.0: Image.Transpose.ROTATE_180,
        270.0: Image.Transpose.ROTATE_90,
    }
    if degrees % 90 == 0:
        method = turned[degrees % 360]
        return image if method is None else image.transpose(method)
    canvas = image.convert("RGBA")
    # It grows with every turn, and an instruction may ask for many.
    canvas.thumbnail((_TURNED_SIDE, _TURNED_SIDE))
    return canvas.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)


def _flip(image: Image.Image, match: re.Match[str]) -> Image.Image:
    vertical = re.search(r"vertical|upside|top", match[0], re.IGNORECASE)
    return ImageOps.flip(image) if vertical else ImageOps.mirror(image)


def _crop(image: Image.Image, match: re.Match[str]) -> Image.Image:
    """The middle three quarters, or the largest square of it when a square is asked for."""
    width, height = image.size
    if "square" in match[0].lower():
        wide = tall = min(width, height)
    else:
        wide, tall = max(1, width * 3 // 4), max(1, height * 3 // 4)
    left, top = (width - wide) // 2, (height - tall) // 2
    return image.crop((left, top, left + wide, top + tall))


def _resize(image: Image.Image, match: re.Match[str]) -> Image.Image:
    words = match[0].lower()
    exact = re.search(r"(\d{1,4})\s*[x×]\s*(\d{1,4})", words)  # noqa: RUF001 - people type it
    if exact:
        size = (int(exact[1]), int(exact[2]))
    else:
        shrinks = re.search(r"small|shrink|half|reduce", words)
        factor = 0.5 if shrinks else 2.0
        size = (round(image.width * factor), round(image.height * factor))
    # Never past the limit, unless the picture is already larger: then it stays as it is.
    limit = max(_MAX_SIDE, *image.size)
    width, height = (min(limit, max(1, side)) for side in size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _remove_background(image: Image.Image, _: re.Match[str]) -> Image.Image:
    """Make transparent what is joined to a corner and looks like it.

    The joined area is found on a thumbnail, for speed; its edge is drawn by the full picture.
    """
    colour = image.convert("RGB")
    small = colour.copy()
    small.thumbnail((_BACKGROUND_SIDE, _BACKGROUND_SIDE), Image.Resampling.BOX)
    background = Image.new("L", colour.size, 0)
    right, bottom = small.width - 1, small.height - 1
    for corner in ((0, 0), (right, 0), (0, bottom), (right, bottom)):
        joined = _joined_area(small, corner).resize(colour.size, Image.Resampling.BILINEAR)
        seed = small.getpixel(corner)
        away = ImageChops.difference(colour, Image.new("RGB", colour.size, seed)).convert("L")
        alike = away.point([255 if level <= _BACKGROUND_REACH else 0 for level in range(256)])
        background = ImageChops.lighter(background, ImageChops.multiply(joined, alike))
    result = colour
    alpha = ImageChops.invert(background)
    if image.mode == "RGBA":
        alpha = ImageChops.darker(alpha, image.getchannel("A"))
    result.putalpha(alpha)
    return result


def _joined_area(small: Image.Image, corner: tuple[int, int]) -> Image.Image:
    marker = (255, 0, 254)
    flooded = small.copy()
    ImageDraw.floodfill(flooded, corner, marker, thresh=_BACKGROUND_REACH * 2)
    away = ImageChops.difference(flooded, Image.new("RGB", small.size, marker))
    bands = away.split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    area = most.point([255] + [0] * 255)
    return area.filter(ImageFilter.MaxFilter(3))


def _tint(image: Image.Image, colour: Colour) -> Image.Image:
    grey = ImageOps.grayscale(image)
    tinted = ImageOps.colorize(
        grey, mix(colour, (0, 0, 0), 0.75), mix(colour, (255, 255, 255), 0.82), colour
    )
    return Image.blend(image, tinted, 0.6)


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(2.0, max(image.size) / 64)))


def _step(apply: Edit, *phrases: str) -> tuple[re.Pattern[str], Edit]:
    return re.compile(rf"\b(?:{'|'.join(phrases)})", re.IGNORECASE), apply


# Possessive, so that no instruction makes the match try its digits and dots in every way.
_FILLER = r"(?:\W++(?:it|this|the|image|picture|photo|by|to|about|\d++(?:\.\d++)?+|degrees?)\b)*+"
_SIDEWAYS = r"\W+(?:left|right|(?:counter|anti)?-?clockwise)\b"
_STEPS = (
    _step(
        _on_colour(ImageOps.grayscale),
        r"gr[ea]y ?scale\b",
        r"black[ -]and[ -]white\b",
        r"monochrome\b",
        r"desaturate",
        r"b&w\b",
    ),
    _step(_on_colour(_sepia), r"sepia\b", r"vintage\b"),
    _step(
        _rotate,
        r"upside[ -]down\b",
        rf"(?:rotat\w*|turn){_FILLER}(?:{_SIDEWAYS}|(?<=\d)\b|(?<=degrees)\b|(?<=degree)\b)",
        r"rotat\w*",
    ),
    _step(
        _flip,
        r"(?:flip|mirror)\w*(?:\W+\w+){0,3}?\W+(?:horizontal|vertical)\w*",
        r"(?:flip|mirror)\w*",
    ),
    _step(_on_colour(_blur), r"blur\w*", r"soften\b", r"out of focus\b"),
    _step(_on_colour(ImageOps.invert), r"invert\w*", r"negative\b"),
    _step(_on_colour(_relief), r"emboss\w*", r"3[ -]?d\b", r"relief\b"),
    _step(
        _remove_background,
        r"remov\w*\W+(?:\w+\W+){0,2}?background\b",
        r"background\W+(?:removed|transparent)\b",
        r"transparent\b",
        r"cut ?out\b",
    ),
    _step(_crop, r"crop\w*(?:\W+\w+){0,4}?\W+square\b", r"crop\w*"),
    _step(
        _resize,
        r"resiz\w*(?:\W+\w+){0,3}?\W+\d{1,4}\s*[x×]\s*\d{1,4}",  # noqa: RUF001 - people type it
        r"(?:bigger|larger|smaller)\b",
        r"(?:enlarge|upscale|shrink|resiz)\w*",
        r"(?:half|double) (?:the|its) size\b",
    ),
    _step(
        _on_colour(lambda image: ImageEnhance.Brightness(image).enhance(1.35)),
        r"brighte[nr]\w*",
        r"lighte[nr]\w*",
    ),
    _step(_on_colour(lambda image: ImageEnhance.Brightness(image).enhance(0.65)), r"darke[nr]\w*"),
)


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
        return _tinted(image, instruction, variant)
    for _, number, match in sorted(found, key=lambda item: item[:2])[:_MAX_STEPS]:
        image = _STEPS[number][1](image, match)
    return image


def _tinted(image: Image.Image, instruction: str, variant: int) -> Image.Image:
    word = COLOUR_WORD.search(instruction)
    if word:
        colour = NAMED[word[1].lower()]
    else:
        vivid = ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink")
        colour = NAMED[Dice(f"{instruction}\n{variant}").pick(vivid)]
    pixels = image.convert("RGB")
    changed = _tint(pixels, colour)
    if image.mode == "RGBA":
        changed.putalpha(image.getchannel("A"))
    return changed

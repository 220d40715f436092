"""Draw a landscape of `scenes.toml`: a sky, then layers of sprites and hills."""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

import msgspec
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, WebPImagePlugin

from emby_plugins.mock.colors import Color, darker, lighter, mix, parse_color

Choice = TypeVar("Choice")

# A sprite's frame in heights of what it shows, and how far down in it its foot is.
_FRAME, _FOOT = 1.7, 1.37
_HILL_STEPS = 64
_TINT_OF_FIXED_COLORS = 0.35


class Layer(msgspec.Struct, frozen=True):
    """One kind of thing, scattered; `scenes.toml` explains the fields."""

    sprite: str
    y: tuple[float, float]
    size: tuple[float, float]
    count: float = 1
    x: tuple[float, ...] = ()
    colors: tuple[str, ...] = ()
    shade: float = 0
    haze: float = 0
    fade: float = 0
    bright: bool = False


class Hour(msgspec.Struct, frozen=True):
    """The sky at an hour, in a season or weather; `share` of `tint` is on all the land."""

    sky: tuple[str, ...]
    tint: str
    share: float
    layers: tuple[Layer, ...]
    front: tuple[Layer, ...] = ()
    words: str = "(?!)"


class SeededRandom(random.Random):
    """Random numbers that are the same on every machine and Python for the same text."""

    def __init__(self, text: str) -> None:
        super().__init__(text.encode("utf-8", "replace"))

    def choice(self, choices: Sequence[Choice]) -> Choice:  # type: ignore[override]
        """One of `choices`. Python only promises that `random` and `uniform` never change."""
        return choices[int(self.random() * len(choices))]


class Landscape:
    """A picture in the making, `width` heights wide, lit by an hour; `ground` is its main color."""

    def __init__(
        self,
        size: tuple[int, int],
        hour: Hour,
        sky: Color | None,
        ground: Color,
        chance: SeededRandom,
    ) -> None:
        stops = [parse_color(stop) for stop in hour.sky]
        if sky:
            stops = [darker(sky, 0.12), sky, lighter(sky, 0.55)]
        self.image = _gradient(size, [*stops, stops[-1]])
        self.width = size[0] / size[1]
        self._hour, self._ground, self._chance = hour, ground, chance
        self._tint, self._haze = parse_color(hour.tint), stops[-1]
        # Drawn here, so that the sun is at the center of its glow.
        self._side = chance.random()

    def draw(self, layers: Sequence[Layer]) -> None:
        """Draw layers, each in front of the last."""
        for layer in layers:
            if layer.sprite == "ridge":
                self._draw_ridge(layer)
                continue
            for x, y, size in self._spots(layer):
                color = self._color(layer)
                mirrored = self._chance.random() < 0.5
                tint = 0 if layer.bright else _TINT_OF_FIXED_COLORS
                self.add(layer.sprite, (x, y), size, color, mirrored, tint, layer.haze)

    def add(
        self,
        sprite: str,
        foot: tuple[float, float],
        height: float,
        color: Color,
        mirrored: bool,
        tint: float = _TINT_OF_FIXED_COLORS,
        haze: float = 0,
    ) -> None:
        """Add a sprite with its foot at `foot`, and shares of the hour's tint and of the haze."""
        side = max(2, round(height * _FRAME * self.image.height))
        base, weight, mask = _load_resized(sprite, side)
        pixels = ImageChops.multiply(weight, Image.new("RGB", base.size, color))
        pixels = ImageChops.add(base, pixels)
        for shade, share in ((self._tint, tint * self._hour.share), (self._haze, haze)):
            if share:
                pixels = Image.blend(pixels, Image.new("RGB", pixels.size, shade), share)
        if mirrored:
            pixels, mask = ImageOps.mirror(pixels), ImageOps.mirror(mask)
        x, y = (round(part * self.image.height) for part in foot)
        self.image.paste(pixels, (x - side // 2, y - round(side * _FOOT / _FRAME)), mask)

    def _spots(self, layer: Layer) -> list[tuple[float, float, float]]:
        """The positions and heights of a layer's sprites, the farthest first."""
        if layer.x:
            place = layer.x[int(self._side * len(layer.x))]
            return [(place * self.width, layer.y[0], layer.size[0])]
        count, spots = max(2, round(layer.count * self.width)), []
        for index in range(count):
            near = self._chance.random()
            x = self.width * (index + self._chance.uniform(0.1, 0.9)) / count
            y, size = (a + (b - a) * near for a, b in (layer.y, layer.size))
            spots.append((x, y, size))
        return sorted(spots, key=lambda spot: (spot[1], spot[2]))

    def _color(self, layer: Layer) -> Color:
        color = parse_color(self._chance.choice(layer.colors)) if layer.colors else self._ground
        color = darker(color, layer.shade) if layer.shade >= 0 else lighter(color, -layer.shade)
        return color if layer.bright else mix(color, self._tint, self._hour.share)

    def _draw_ridge(self, layer: Layer) -> None:
        """Rolling hills from side to side, or flat ground if their size is 0."""
        phase, pace = self._chance.uniform(0, math.tau), self._chance.uniform(2.2, 3.6)
        wide, tall = self.image.size
        base, rise = layer.y[0] * tall, layer.size[0] * tall
        top = int(base - rise * 1.4)
        points = [(2 * wide, 2 * (tall - top)), (0, 2 * (tall - top))]
        for step in range(_HILL_STEPS + 1):
            x = self.width * step / _HILL_STEPS
            wave = math.sin(x * pace + phase) + 0.4 * math.sin(x * pace * 2.3 + phase * 1.7)
            points.append((round(x * tall * 2), round((base - rise * wave - top) * 2)))
        # Drawn at twice the size and halved, which smooths the edge.
        mask = Image.new("L", points[0])
        ImageDraw.Draw(mask).polygon(points, 255)
        color = self._color(layer)
        stops = (mix(color, self._haze, layer.haze), color, darker(color, layer.fade))
        self.image.paste(_gradient((wide, tall - top), stops), (0, top), mask.reduce(2))


def _gradient(size: tuple[int, int], stops: Sequence[Color]) -> Image.Image:
    """A vertical gradient through evenly spaced colors."""
    ramp = Image.new("RGB", (1, len(stops)))
    ramp.putdata(list(stops))
    # The centers of the stops lie on the edges, or the ends would be flat.
    box = (0.0, 0.5, 1.0, len(stops) - 0.5)
    column = ramp.resize((1, max(1, size[1])), Image.Resampling.BILINEAR, box=box)
    return column.resize(size, Image.Resampling.NEAREST)


@lru_cache(maxsize=16)
def _load(name: str) -> list[Image.Image]:
    """The halves of a sprite's file: its fixed colors, and the shares of a color that is given."""
    with files("emby_plugins.mock").joinpath("subjects", f"{name}.webp").open("rb") as file:
        # The plugin itself: Image.open would import those of all formats. And premultiplied once,
        # which Pillow would do at each resizing.
        sheet = WebPImagePlugin.WebPImageFile(file).convert("RGBA").convert("RGBa")
    edge = sheet.width
    return [sheet.crop((0, top, edge, top + edge)) for top in (0, edge)]


@lru_cache(maxsize=256)
def _load_resized(name: str, side: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """A sprite at a size: its fixed colors, the weight of a given color, and its mask."""
    halves = _load(name)
    if side * 4 > halves[0].width * 3:
        # Its edges are hard, which shows in a large picture.
        halves = [half.filter(ImageFilter.GaussianBlur(0.9)) for half in halves]
    base, weight = (
        half.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=1.5).convert("RGBA")
        for half in halves
    )
    return base.convert("RGB"), weight.convert("RGB"), base.getchannel("A")

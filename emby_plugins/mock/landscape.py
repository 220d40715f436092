"""Draws a landscape: a sky, then layers of sprites and hills. `scenes.toml` says of what."""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

import msgspec
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from emby_plugins.mock.colors import Color, darker, lighter, mix, parse_color

Choice = TypeVar("Choice")
Overlay = tuple[Image.Image, Image.Image, tuple[int, int]]
"""What is pasted: an RGB image, its mask, and where its upper left corner goes."""
Sprite = tuple[Image.Image, Image.Image]
"""The halves of a file: colors that are fixed, and each pixel's share of a color that is given."""

# A sprite's frame in heights of what it shows, and how far down in it that stands.
_FRAME, _FOOT = 1.7, 1.37
_HILL_STEPS = 64
_TINT_OF_FIXED_COLORS = 0.35


class Layer(msgspec.Struct, frozen=True):
    """One kind of thing, scattered; scenes.toml says what the fields mean."""

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
        self.image = gradient(size, [*stops, stops[-1]])
        self.width = size[0] / size[1]
        self._hour, self._ground, self._chance = hour, ground, chance
        self._tint, self._haze = parse_color(hour.tint), stops[-1]
        # Drawn here, so that the sun is where its glow is.
        self._side = chance.random()

    def draw(self, layers: Sequence[Layer]) -> None:
        """Draw layers, each in front of the last."""
        for layer in layers:
            if layer.sprite == "ridge":
                self._paste(self._ridge(layer), layer)
                continue
            for x, y, size in self._spots(layer):
                color = self._color(layer)
                if layer.sprite == "glow":
                    self._paste(self._glow((x, y), size, color), layer)
                else:
                    self.add(layer.sprite, (x, y), size, color, layer)

    def add(
        self,
        sprite: str,
        foot: tuple[float, float],
        height: float,
        color: Color,
        layer: Layer | None = None,
        *,
        mirrored: bool | None = None,
    ) -> None:
        """Add a sprite that stands on `foot`; one without a layer is a subject."""
        side = max(2, round(height * _FRAME * self.image.height))
        base, weight, mask = _resized(sprite, side)
        solid = Image.new("RGB", base.size, color)
        pixels = ImageChops.add(base, ImageChops.multiply(weight, solid))
        if self._chance.random() < 0.5 if mirrored is None else mirrored:
            pixels, mask = (
                image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in (pixels, mask)
            )
        x, y = (round(part * self.image.height) for part in foot)
        corner = (x - side // 2, y - round(side * _FOOT / _FRAME))
        self._paste((pixels, mask, corner), layer)

    def _spots(self, layer: Layer) -> list[tuple[float, float, float]]:
        """Where the sprites of a layer stand and how high they are, the farthest first."""
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

    def _ridge(self, layer: Layer) -> Overlay:
        """Rolling hills from side to side, or flat ground where they have no size."""
        phase, pace = self._chance.uniform(0, math.tau), self._chance.uniform(2.2, 3.6)
        wide, tall = self.image.size
        top = int((layer.y[0] - layer.size[0] * 1.4) * tall)
        points = []
        for step in range(_HILL_STEPS + 1):
            x = self.width * step / _HILL_STEPS
            wave = math.sin(x * pace + phase) + 0.4 * math.sin(x * pace * 2.3 + phase * 1.7)
            y = (layer.y[0] - layer.size[0] * wave) * tall - top
            points.append((x * tall * 2, y * 2))
        mask = Image.new("L", (wide * 2, (tall - top) * 2))
        corners = [(wide * 2, mask.height), (0, mask.height)]
        ImageDraw.Draw(mask).polygon([*points, *corners], 255)
        color = self._color(layer)
        fill = gradient(
            (wide, tall - top),
            (mix(color, self._haze, layer.haze), color, darker(color, layer.fade)),
        )
        return fill, mask.reduce(2), (0, top)

    def _glow(self, center: tuple[float, float], radius: float, color: Color) -> Overlay:
        side = max(2, round(radius * 2 * self.image.height))
        fade = Image.radial_gradient("L").resize((side, side), Image.Resampling.BILINEAR)
        mask = fade.point([round(max(0.0, 1 - level / 181) ** 2 * 200) for level in range(256)])
        x, y = (round(part * self.image.height - side / 2) for part in center)
        return Image.new("RGB", mask.size, color), mask, (x, y)

    def _paste(self, overlay: Overlay, layer: Layer | None) -> None:
        """Paste it, some of it in the light of the hour and in the haze of its layer."""
        pixels, mask, corner = overlay
        tint = 0 if layer and layer.bright else self._hour.share * _TINT_OF_FIXED_COLORS
        haze = layer.haze if layer and layer.sprite != "ridge" else 0
        for color, share in ((self._tint, tint), (self._haze, haze)):
            if share:
                pixels = Image.blend(pixels, Image.new("RGB", pixels.size, color), share)
        self.image.paste(pixels, corner, mask)


def gradient(size: tuple[int, int], stops: Sequence[Color]) -> Image.Image:
    """A vertical gradient through evenly spaced colors."""
    ramp = Image.new("RGB", (1, len(stops)))
    ramp.putdata(list(stops))
    # The centers of the stops lie on the edges, or the ends would be flat.
    box = (0.0, 0.5, 1.0, len(stops) - 0.5)
    column = ramp.resize((1, max(1, size[1])), Image.Resampling.BILINEAR, box=box)
    return column.resize(size, Image.Resampling.NEAREST)


def _sprite(name: str) -> Sprite:
    with files("emby_plugins.mock").joinpath("subjects", f"{name}.webp").open("rb") as file:
        sheet = Image.open(file).convert("RGBA")
    edge = sheet.width
    return sheet.crop((0, 0, edge, edge)), sheet.crop((0, edge, edge, edge * 2))


@lru_cache(maxsize=64)
def _halved(name: str, times: int) -> Sprite:
    """A sprite, halved so often: to shrink all of it for each small copy would take long."""
    base, weight = _halved(name, times - 1) if times > 1 else _sprite(name)
    return base.reduce(2), weight.reduce(2)


@lru_cache(maxsize=256)
def _resized(name: str, side: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """A sprite at a size: its own colors, the weight of the color it is given, and its mask."""
    sprite, times = _halved(name, 1), 1
    if sprite[0].width < side:
        # The edges of the file are hard, which only shows when it is not shrunk.
        base, weight = (
            half.convert("RGBa").filter(ImageFilter.GaussianBlur(0.9)).convert("RGBA")
            for half in _sprite(name)
        )
        sprite = base, weight
    while sprite[0].width >= side * 2:
        times += 1
        sprite = _halved(name, times)
    base, weight = (half.resize((side, side), Image.Resampling.BILINEAR) for half in sprite)
    return base.convert("RGB"), weight.convert("RGB"), base.getchannel("A")

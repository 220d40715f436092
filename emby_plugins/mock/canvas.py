"""A small drawing kit over Pillow: unit coordinates, smooth shapes, antialiasing, seeded chance.

The height of a canvas is 1, its width is its aspect ratio, y grows downwards. Everything is
drawn at a multiple of the final size and reduced once, which is what smooths the edges.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from PIL import Image, ImageDraw

from emby_plugins.mock.colours import Colour

Point = tuple[float, float]
Choice = TypeVar("Choice")

_SMOOTHNESS = 8


class Dice:
    """Chance that is the same on every machine and Python: a stream of digests of a seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "replace")
        self._count = 0
        self._pool = b""

    def roll(self) -> float:
        """The next number, from 0 up to but not including 1."""
        if not self._pool:
            self._pool = hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        number, self._pool = self._pool[:4], self._pool[4:]
        return int.from_bytes(number, "big") / 2**32

    def between(self, low: float, high: float) -> float:
        """The next number from `low` to `high`."""
        return low + (high - low) * self.roll()

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of `choices`."""
        return choices[int(self.roll() * len(choices))]


class Canvas:
    """What pictures are drawn on."""

    def __init__(self, size: tuple[int, int], oversample: int) -> None:
        self._size = size
        self.width = size[0] / size[1]
        self._unit = size[1] * oversample
        full = (size[0] * oversample, size[1] * oversample)
        self._image = Image.new("RGB", full)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def finished(self) -> Image.Image:
        """The picture at its own size."""
        return self._image.resize(self._size, Image.Resampling.BOX)

    def gradient(self, stops: Sequence[Colour], top: float = 0.0, bottom: float = 1.0) -> None:
        """A vertical gradient between two heights through evenly spaced colours."""
        ramp = Image.new("RGB", (1, len(stops)))
        ramp.putdata(list(stops))
        # Bilinear from a few pixels would leave flat ends: place the stops' centres on the edges.
        height = max(2, round((bottom - top) * self._unit))
        box = (0.0, 0.5, 1.0, len(stops) - 0.5)
        bar = ramp.resize((1, height), Image.Resampling.BILINEAR, box=box)
        band = bar.resize((self._image.width, height), Image.Resampling.NEAREST)
        self._image.paste(band, (0, round(top * self._unit)))

    def polygon(self, points: Iterable[Point], colour: Colour, opacity: float = 1.0) -> None:
        """A filled shape with straight edges."""
        self._draw.polygon([self._pixel(point) for point in points], (*colour, _alpha(opacity)))

    def blob(self, points: Sequence[Point], colour: Colour, opacity: float = 1.0) -> None:
        """A filled shape with a smooth outline through `points`."""
        self.polygon(_smooth(points), colour, opacity)

    def oval(
        self,
        centre: Point,
        radii: tuple[float, float],
        colour: Colour,
        opacity: float = 1.0,
        *,
        turn: float = 0.0,
    ) -> None:
        """An ellipse, turned clockwise by `turn` degrees."""
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        steps = 48
        points = []
        for step in range(steps):
            angle = step * math.tau / steps
            x, y = math.cos(angle) * radii[0], math.sin(angle) * radii[1]
            points.append((centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos))
        self.polygon(points, colour, opacity)

    def disc(self, centre: Point, radius: float, colour: Colour, opacity: float = 1.0) -> None:
        """A circle."""
        self.oval(centre, (radius, radius), colour, opacity)

    def glow(self, centre: Point, radius: float, colour: Colour, strength: float = 0.5) -> None:
        """Light that fades outwards from `centre`."""
        side = max(2, round(radius * 2 * self._unit))
        fade = Image.radial_gradient("L").resize((side, side), Image.Resampling.BILINEAR)
        mask = fade.point([round(max(0.0, 1 - i / 181) ** 2 * 255 * strength) for i in range(256)])
        x, y = self._pixel(centre)
        corner = (round(x - side / 2), round(y - side / 2))
        self._image.paste(Image.new("RGB", (side, side), colour), corner, mask)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line of round ends and joints."""
        pixels = [self._pixel(point) for point in points]
        thick = max(1, round(width * self._unit))
        self._draw.line(pixels, (*colour, 255), thick, joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            r = thick / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), (*colour, 255))

    def curve(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A smooth line through `points`."""
        self.line(_smooth(points, closed=False), width, colour)

    def box(
        self,
        corner: Point,
        size: Point,
        colour: Colour,
        opacity: float = 1.0,
        *,
        radius: float = 0.0,
    ) -> None:
        """A rectangle from its upper left corner, with rounded corners."""
        x, y = self._pixel(corner)
        right, bottom = self._pixel((corner[0] + size[0], corner[1] + size[1]))
        box = (x, y, max(x, right), max(y, bottom))
        self._draw.rounded_rectangle(box, radius * self._unit, (*colour, _alpha(opacity)))

    def _pixel(self, point: Point) -> Point:
        return point[0] * self._unit, point[1] * self._unit


class Place:
    """A spot to draw a thing at: local x is right of it, y above it, in heights of the thing."""

    def __init__(
        self, canvas: Canvas, foot: Point, height: float, *, mirrored: bool = False
    ) -> None:
        self.canvas = canvas
        self._foot = foot
        self._height = height
        self._side = -1 if mirrored else 1

    def at(self, x: float, y: float) -> Point:
        """A local point on the canvas."""
        return self._foot[0] + x * self._height * self._side, self._foot[1] - y * self._height

    def blob(self, points: Sequence[Point], colour: Colour, opacity: float = 1.0) -> None:
        """A smooth shape."""
        self.canvas.blob([self.at(*point) for point in points], colour, opacity)

    def polygon(self, points: Sequence[Point], colour: Colour, opacity: float = 1.0) -> None:
        """A straight-edged shape."""
        self.canvas.polygon([self.at(*point) for point in points], colour, opacity)

    def oval(
        self,
        x: float,
        y: float,
        radii: tuple[float, float],
        colour: Colour,
        opacity: float = 1.0,
        *,
        turn: float = 0.0,
    ) -> None:
        """An ellipse."""
        scaled = (radii[0] * self._height, radii[1] * self._height)
        self.canvas.oval(self.at(x, y), scaled, colour, opacity, turn=turn * self._side)

    def disc(self, x: float, y: float, radius: float, colour: Colour, opacity: float = 1.0) -> None:
        """A circle."""
        self.oval(x, y, (radius, radius), colour, opacity)

    def curve(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A smooth line."""
        self.canvas.curve([self.at(*point) for point in points], width * self._height, colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A straight line."""
        self.canvas.line([self.at(*point) for point in points], width * self._height, colour)

    def shadow(self, radius: float, x: float = 0.0) -> None:
        """A soft shadow on the ground, which is what makes a thing stand there."""
        for share in (1.0, 0.8, 0.6):
            self.oval(x, 0.0, (radius * share, radius * 0.16 * share), (20, 30, 30), 0.13)


def _alpha(opacity: float) -> int:
    return round(opacity * 255)


def _smooth(points: Sequence[Point], *, closed: bool = True) -> list[Point]:
    """A Catmull-Rom curve through `points`."""
    count = len(points)
    smooth: list[Point] = []
    for index in range(count if closed else count - 1):
        if closed:
            a, b, c, d = (points[(index + k) % count] for k in (-1, 0, 1, 2))
        else:
            a, b, c, d = (points[min(max(index + k, 0), count - 1)] for k in (-1, 0, 1, 2))
        for step in range(_SMOOTHNESS):
            t = step / _SMOOTHNESS
            x, y = (_spline(a[k], b[k], c[k], d[k], t) for k in (0, 1))
            smooth.append((x, y))
    if not closed:
        smooth.append(points[-1])
    return smooth


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (
        2 * b
        + (c - a) * t
        + (2 * a - 5 * b + 4 * c - d) * t * t
        + (3 * b - a - 3 * c + d) * t * t * t
    )

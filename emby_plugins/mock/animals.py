"""Living subjects of painted pictures. Each stands on local (0, 0) and is about 1 high."""

from math import cos, radians, sin, sqrt

from emby_plugins.mock.canvas import Dice, Place
from emby_plugins.mock.colours import Colour, darker, lighter, mix

_INK: Colour = (40, 32, 36)
_WHITE: Colour = (255, 255, 255)
_PINK: Colour = (240, 128, 138)


def _eye(place: Place, x: float, y: float, radius: float) -> None:
    place.disc(x, y, radius, _INK)
    place.disc(x - radius * 0.3, y + radius * 0.35, radius * 0.34, _WHITE)


def dog(place: Place, coat: Colour, dice: Dice) -> None:
    """A sitting puppy, tongue out."""
    shade, light = darker(coat, 0.22), lighter(coat, 0.5)
    place.shadow(0.42)
    wag = dice.between(0.3, 0.46)
    place.curve([(0.16, 0.1), (0.36, 0.14), (0.46, wag - 0.06), (0.43, wag)], 0.09, shade)
    for side in (-1, 1):
        place.oval(side * 0.22, 0.13, (0.16, 0.14), shade)
    body = [(-0.21, 0.03), (-0.26, 0.22), (-0.2, 0.45), (0, 0.6), (0.2, 0.45), (0.26, 0.22)]
    place.blob([*body, (0.21, 0.03)], coat)
    place.oval(0, 0.34, (0.12, 0.19), light)
    for side in (-1, 1):
        place.oval(side * 0.24, 0.035, (0.1, 0.045), coat)
        place.oval(side * 0.095, 0.17, (0.075, 0.18), lighter(coat, 0.12))
        place.oval(side * 0.1, 0.035, (0.09, 0.046), light)
        for toe in (-0.03, 0.03):
            x = side * 0.1 + toe
            place.line([(x, 0.012), (x, 0.036)], 0.009, shade)
    place.oval(0, 0.72, (0.255, 0.225), coat)
    for side in (-1, 1):
        ear = [(0.14, 0.9), (0.27, 0.86), (0.345, 0.66), (0.31, 0.51), (0.24, 0.53), (0.2, 0.72)]
        place.blob([(side * x, y) for x, y in ear], shade)
        place.disc(side * 0.16, 0.65, 0.045, _PINK, 0.25)
    place.oval(0, 0.83, (0.055, 0.1), light, 0.8)
    place.oval(0, 0.535, (0.042, 0.062), _PINK)
    place.oval(0, 0.63, (0.135, 0.095), light)
    place.oval(0, 0.675, (0.055, 0.038), _INK)
    place.oval(-0.014, 0.688, (0.016, 0.009), _WHITE, 0.6)
    place.curve(
        [(-0.075, 0.595), (-0.035, 0.573), (0, 0.6), (0.035, 0.573), (0.075, 0.595)], 0.014, _INK
    )
    for side in (-1, 1):
        _eye(place, side * 0.105, 0.765, 0.04)


def cat(place: Place, coat: Colour, dice: Dice) -> None:
    """A sitting cat with its tail around."""
    shade, light = darker(coat, 0.28), lighter(coat, 0.5)
    place.shadow(0.4)
    tail = dice.between(0.36, 0.5)
    place.curve(
        [(0.12, 0.05), (0.36, 0.06), (0.47, 0.2), (0.4, tail), (0.46, tail + 0.1)], 0.075, shade
    )
    body = [(-0.19, 0.02), (-0.25, 0.18), (-0.15, 0.42), (0, 0.56), (0.15, 0.42), (0.25, 0.18)]
    place.blob([*body, (0.19, 0.02)], coat)
    place.oval(0, 0.33, (0.09, 0.17), light)
    for side in (-1, 1):
        place.oval(side * 0.07, 0.15, (0.058, 0.16), lighter(coat, 0.12))
        place.oval(side * 0.075, 0.03, (0.072, 0.038), light)
        place.polygon([(side * 0.25, 0.76), (side * 0.235, 0.985), (side * 0.06, 0.86)], coat)
        place.polygon(
            [(side * 0.215, 0.8), (side * 0.208, 0.93), (side * 0.105, 0.86)], _PINK, 0.75
        )
    place.oval(0, 0.69, (0.265, 0.205), coat)
    for x in (-0.07, 0, 0.07):
        place.line([(x * 0.8, 0.8), (x, 0.875)], 0.024, shade)
    for side in (-1, 1):
        place.line([(side * 0.235, 0.68), (side * 0.16, 0.69)], 0.018, shade)
        place.oval(side * 0.1, 0.72, (0.055, 0.05), (176, 214, 120))
        place.oval(side * 0.1, 0.72, (0.02, 0.046), _INK)
        place.disc(side * 0.1 - 0.014, 0.738, 0.012, _WHITE)
    place.oval(0, 0.6, (0.1, 0.062), light)
    place.polygon([(-0.03, 0.645), (0.03, 0.645), (0, 0.612)], _PINK)
    place.curve(
        [(-0.06, 0.592), (-0.028, 0.575), (0, 0.605), (0.028, 0.575), (0.06, 0.592)], 0.011, _INK
    )
    for side in (-1, 1):
        for lift in (-0.03, 0.0, 0.03):
            place.line(
                [(side * 0.1, 0.61 + lift * 0.4), (side * 0.34, 0.62 + lift * 1.6)], 0.006, light
            )


def bird(place: Place, plumage: Colour, dice: Dice) -> None:
    """A round little bird in profile."""
    shade, light = darker(plumage, 0.28), lighter(plumage, 0.5)
    place.shadow(0.3)
    for x in (-0.04, 0.1):
        place.line([(x, 0.24), (x + 0.02, 0.02)], 0.024, (226, 140, 60))
        place.line([(x - 0.05, 0.015), (x + 0.1, 0.015)], 0.022, (226, 140, 60))
    place.blob([(-0.2, 0.38), (-0.62, 0.56), (-0.66, 0.44), (-0.3, 0.24)], shade)
    body = [(-0.34, 0.36), (-0.16, 0.66), (0.04, 0.9), (0.3, 0.9), (0.4, 0.68), (0.34, 0.38)]
    place.blob([*body, (0.1, 0.2), (-0.18, 0.22)], plumage)
    place.blob([(0.12, 0.22), (0.3, 0.34), (0.37, 0.56), (0.26, 0.62), (0.12, 0.42)], light)
    place.blob(
        [(0.16, 0.58), (-0.04, 0.64), (-0.24, 0.5), (-0.42, 0.34), (-0.1, 0.3), (0.1, 0.4)], shade
    )
    lift = dice.between(0.0, 0.04)
    for step in (0.0, 0.07):
        place.curve(
            [(-0.3 + step, 0.37 + step), (-0.1 + step, 0.38 + step), (0.06, 0.44 + lift + step)],
            0.012,
            plumage,
        )
    place.polygon([(0.37, 0.79), (0.56, 0.72), (0.38, 0.67)], (244, 172, 58))
    place.line([(0.38, 0.725), (0.53, 0.72)], 0.008, (196, 118, 40))
    _eye(place, 0.24, 0.77, 0.046)
    place.disc(0.28, 0.67, 0.04, _PINK, 0.35)


def fish(place: Place, scales: Colour, dice: Dice) -> None:
    """A fish, with bubbles."""
    shade, light = darker(scales, 0.25), lighter(scales, 0.45)
    place.blob([(-0.34, 0.5), (-0.7, 0.78), (-0.62, 0.5), (-0.7, 0.22)], shade)
    place.blob([(-0.1, 0.72), (0.06, 0.96), (0.26, 0.74)], shade)
    place.oval(0.06, 0.5, (0.46, 0.29), scales)
    place.oval(0.1, 0.4, (0.36, 0.17), light, 0.7)
    for row in range(3):
        for column in range(3):
            spot = (-0.2 + column * 0.13 + (row % 2) * 0.05, 0.62 - row * 0.11)
            place.curve(
                [(spot[0], spot[1] + 0.05), (spot[0] + 0.04, spot[1]), (spot[0], spot[1] - 0.05)],
                0.014,
                shade,
            )
    place.blob([(0.04, 0.46), (-0.16, 0.36), (0.02, 0.28)], shade)
    place.disc(0.34, 0.57, 0.07, _WHITE)
    _eye(place, 0.355, 0.57, 0.045)
    place.curve([(0.42, 0.42), (0.38, 0.39), (0.34, 0.4)], 0.016, _INK)
    for size in (0.03, 0.045, 0.025):
        place.disc(0.62 + dice.between(-0.05, 0.08), dice.between(0.6, 1.1), size, _WHITE, 0.6)


def face(place: Place, shirt: Colour, dice: Dice) -> None:
    """A smiling person, head and shoulders."""
    skin = dice.pick(((250, 214, 178), (226, 172, 128), (176, 122, 84), (122, 82, 58)))
    hair = dice.pick(((66, 44, 36), (30, 26, 30), (196, 140, 74), (150, 74, 44)))
    long = dice.roll() < 0.5
    if long:
        place.blob(
            [
                (-0.3, 0.7),
                (-0.36, 0.34),
                (-0.2, 0.24),
                (0.2, 0.24),
                (0.36, 0.34),
                (0.3, 0.7),
                (0, 1.0),
            ],
            hair,
        )
    place.blob(
        [(-0.5, -0.06), (-0.42, 0.16), (-0.16, 0.26), (0.16, 0.26), (0.42, 0.16), (0.5, -0.06)],
        shirt,
    )
    place.oval(0, 0.27, (0.1, 0.12), darker(skin, 0.12))
    for side in (-1, 1):
        place.oval(side * 0.265, 0.58, (0.05, 0.07), darker(skin, 0.08))
    place.blob(
        [
            (-0.26, 0.66),
            (-0.24, 0.46),
            (-0.1, 0.31),
            (0.1, 0.31),
            (0.24, 0.46),
            (0.26, 0.66),
            (0.16, 0.88),
            (-0.16, 0.88),
        ],
        skin,
    )
    fringe = [
        (-0.29, 0.6),
        (-0.28, 0.84),
        (0, 1.0),
        (0.28, 0.84),
        (0.29, 0.6),
        (0.24, 0.76),
        (0.06, 0.82),
    ]
    place.blob([*fringe, (-0.12, 0.76), (-0.23, 0.72)], hair)
    for side in (-1, 1):
        place.oval(side * 0.105, 0.62, (0.05, 0.042), _WHITE)
        _eye(place, side * 0.105, 0.618, 0.032)
        place.curve([(side * 0.05, 0.69), (side * 0.11, 0.71), (side * 0.165, 0.69)], 0.018, hair)
        place.disc(side * 0.15, 0.5, 0.05, (236, 110, 104), 0.25)
    place.curve([(0.0, 0.6), (-0.025, 0.53), (0.012, 0.52)], 0.013, darker(skin, 0.3))
    place.blob(
        [(-0.1, 0.46), (0, 0.438), (0.1, 0.46), (0.05, 0.385), (-0.05, 0.385)],
        mix(_INK, _PINK, 0.35),
    )
    place.oval(0, 0.448, (0.07, 0.014), _WHITE)


def flower(place: Place, petal: Colour, dice: Dice) -> None:
    """One big flower with leaves."""
    stem: Colour = (74, 142, 70)
    place.shadow(0.16)
    place.curve([(0, 0.0), (0.03, 0.2), (-0.02, 0.42), (0, 0.66)], 0.034, stem)
    for side in (-1, 1):
        foot = 0.16 if side < 0 else 0.26
        leaf = [
            (0, foot),
            (side * 0.13, foot + 0.14),
            (side * 0.28, foot + 0.17),
            (side * 0.17, foot + 0.02),
        ]
        place.blob(leaf, stem)
        place.line(
            [(side * 0.02, foot + 0.02), (side * 0.22, foot + 0.13)], 0.008, darker(stem, 0.3)
        )
    count = 8
    for shade, reach, offset in ((darker(petal, 0.16), 0.205, 0.5), (petal, 0.185, 0.0)):
        for index in range(count):
            turn = (index + offset) * 360 / count + dice.between(-3, 3)
            _petal(place, shade, reach, turn)
    place.disc(0, 0.72, 0.098, (226, 150, 44))
    for index in range(20):
        _seed(place, index)


def _petal(place: Place, colour: Colour, reach: float, turn: float) -> None:
    x, y = cos(radians(turn)) * reach, sin(radians(turn)) * reach
    place.oval(x, 0.72 - y, (0.125, 0.064), colour, turn=turn)


def _seed(place: Place, index: int) -> None:
    angle, away = index * 2.39996, 0.082 * sqrt(index / 20)
    place.disc(cos(angle) * away, 0.72 + sin(angle) * away, 0.011, (150, 86, 30))

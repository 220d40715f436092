"""Lifeless subjects of painted pictures. Each stands on local (0, 0) and is about 1 high."""

from math import cos, pi, sin, tau

from emby_plugins.mock.canvas import Dice, Place
from emby_plugins.mock.colours import Colour, darker, lighter, mix

_INK: Colour = (40, 34, 44)
_WHITE: Colour = (252, 250, 246)
_GLASS: Colour = (150, 206, 232)
_WOOD: Colour = (138, 92, 58)


def house(place: Place, wall: Colour, dice: Dice) -> None:
    """A cottage with a smoking chimney."""
    roof = dice.pick(((168, 70, 58), (92, 104, 140), (150, 98, 60)))
    place.shadow(0.62)
    place.polygon([(0.2, 0.7), (0.2, 1.0), (0.33, 1.0), (0.33, 0.6)], darker(roof, 0.3))
    for index, size in enumerate((0.045, 0.06, 0.08)):
        place.disc(0.28 + index * 0.07, 1.06 + index * 0.1, size, _WHITE, 0.6 - index * 0.13)
    place.polygon([(-0.46, 0), (-0.46, 0.5), (0.46, 0.5), (0.46, 0)], wall)
    place.polygon([(0.3, 0), (0.3, 0.5), (0.46, 0.5), (0.46, 0)], darker(wall, 0.1))
    place.polygon([(-0.58, 0.46), (0, 0.94), (0.58, 0.46)], roof)
    place.polygon(
        [(-0.58, 0.46), (0, 0.94), (-0.1, 0.94 - 0.083), (-0.5, 0.46)], lighter(roof, 0.2)
    )
    place.disc(0, 0.64, 0.075, _WHITE)
    place.disc(0, 0.64, 0.055, _GLASS)
    place.polygon([(-0.1, 0), (-0.1, 0.33), (0.1, 0.33), (0.1, 0)], _WOOD)
    place.disc(0.06, 0.16, 0.017, (240, 204, 96))
    for x in (-0.3, 0.29):
        _window(place, x, 0.27)
    for x in (-0.42, -0.32, -0.22, 0.2, 0.31, 0.42):
        place.disc(x, 0.03, 0.07, (86, 150, 76))
        place.disc(x + 0.02, 0.06, 0.018, dice.pick(((240, 110, 120), (250, 210, 90), _WHITE)))


def _window(place: Place, x: float, y: float) -> None:
    place.polygon(
        [(x - 0.1, y - 0.1), (x - 0.1, y + 0.1), (x + 0.1, y + 0.1), (x + 0.1, y - 0.1)], _WHITE
    )
    place.polygon(
        [(x - 0.08, y - 0.08), (x - 0.08, y + 0.08), (x + 0.08, y + 0.08), (x + 0.08, y - 0.08)],
        _GLASS,
    )
    place.line([(x, y - 0.09), (x, y + 0.09)], 0.014, _WHITE)
    place.line([(x - 0.09, y), (x + 0.09, y)], 0.014, _WHITE)


def tree(place: Place, leaves: Colour, dice: Dice) -> None:
    """A broad tree."""
    place.shadow(0.4)
    place.blob(
        [(-0.11, 0), (-0.055, 0.25), (-0.05, 0.5), (0.05, 0.5), (0.055, 0.25), (0.11, 0)], _WOOD
    )
    place.line([(0.0, 0.34), (0.15, 0.5)], 0.035, _WOOD)
    puffs = (
        (-0.24, 0.55, 0.17),
        (0.25, 0.56, 0.18),
        (0, 0.58, 0.22),
        (-0.15, 0.75, 0.19),
        (0.16, 0.76, 0.19),
        (0, 0.86, 0.15),
    )
    for shift, shade in ((0.0, darker(leaves, 0.25)), (0.035, leaves)):
        for x, y, radius in puffs:
            place.disc(x - shift * 0.6, y + shift, radius - shift * 0.5, shade)
    for x, y, radius in puffs:
        place.disc(x - 0.06, y + 0.07, radius * 0.42, lighter(leaves, 0.18), 0.7)
    for _ in range(7):
        place.disc(dice.between(-0.28, 0.28), dice.between(0.52, 0.9), 0.024, (222, 70, 62))


def boat(place: Place, hull: Colour, dice: Dice) -> None:
    """A sailing boat."""
    place.line([(0, 0.18), (0, 1.0)], 0.024, _WOOD)
    sail = dice.pick((_WHITE, (252, 236, 206), (246, 214, 190)))
    place.blob([(0.03, 0.95), (0.24, 0.64), (0.43, 0.31), (0.2, 0.27), (0.03, 0.27)], sail)
    place.blob(
        [(-0.03, 0.86), (-0.2, 0.54), (-0.3, 0.31), (-0.14, 0.28), (-0.03, 0.28)],
        darker(sail, 0.09),
    )
    place.polygon([(0, 1.0), (-0.15, 0.955), (0, 0.91)], (222, 66, 60))
    place.polygon([(-0.5, 0.2), (0.55, 0.2), (0.36, -0.02), (-0.34, -0.02)], hull)
    place.polygon([(-0.5, 0.2), (0.55, 0.2), (0.51, 0.155), (-0.46, 0.155)], lighter(hull, 0.5))
    for index in range(5):
        x = -0.5 + index * 0.24
        place.curve([(x - 0.12, -0.02), (x, -0.055), (x + 0.12, -0.02)], 0.022, _WHITE)


def rocket(place: Place, body: Colour, dice: Dice) -> None:
    """A rocket on its flame."""
    for spread, drop, colour in (
        (0.13, -0.3, (240, 110, 44)),
        (0.08, -0.18, (252, 202, 74)),
        (0.04, -0.08, _WHITE),
    ):
        place.blob(
            [
                (-spread, 0.14),
                (-spread * 0.8, drop * 0.4),
                (dice.between(-0.02, 0.02), drop),
                (spread * 0.8, drop * 0.4),
                (spread, 0.14),
            ],
            colour,
            0.95,
        )
    fin = (214, 66, 62) if abs(body[0] - 214) > 60 or body[1] > 100 else (70, 110, 190)
    for side in (-1, 1):
        place.blob(
            [(side * 0.13, 0.4), (side * 0.3, 0.16), (side * 0.29, 0.04), (side * 0.13, 0.16)], fin
        )
    place.blob(
        [
            (-0.12, 0.12),
            (-0.185, 0.4),
            (-0.15, 0.7),
            (0, 1.0),
            (0.15, 0.7),
            (0.185, 0.4),
            (0.12, 0.12),
        ],
        body,
    )
    place.blob(
        [
            (0.04, 0.12),
            (0.09, 0.45),
            (0.05, 0.78),
            (0.02, 0.95),
            (0.145, 0.68),
            (0.18, 0.4),
            (0.12, 0.12),
        ],
        darker(body, 0.16),
    )
    place.blob([(-0.125, 0.77), (0, 0.75), (0.125, 0.77), (0.07, 0.9), (0, 1.0), (-0.07, 0.9)], fin)
    place.disc(0, 0.56, 0.088, darker(body, 0.4))
    place.disc(0, 0.56, 0.068, _GLASS)
    place.disc(-0.022, 0.585, 0.02, _WHITE, 0.9)
    place.polygon([(-0.13, 0.1), (0.13, 0.1), (0.11, 0.15), (-0.11, 0.15)], _INK)


def car(place: Place, body: Colour, dice: Dice) -> None:
    """A small round car."""
    place.shadow(0.85)
    place.blob([(-0.45, 0.42), (-0.32, 0.78), (-0.05, 0.86), (0.25, 0.8), (0.46, 0.42)], body)
    place.blob([(-0.34, 0.46), (-0.25, 0.7), (-0.05, 0.76), (-0.02, 0.46)], _GLASS)
    place.blob([(0.04, 0.46), (0.04, 0.76), (0.2, 0.72), (0.34, 0.46)], _GLASS)
    place.blob(
        [(-0.78, 0.16), (-0.76, 0.4), (-0.5, 0.5), (0.45, 0.5), (0.76, 0.4), (0.8, 0.16)], body
    )
    place.line([(-0.72, 0.3), (0.74, 0.3)], 0.02, lighter(body, 0.4))
    place.oval(0.72, 0.36, (0.05, 0.06), (255, 240, 170))
    place.oval(-0.74, 0.34, (0.035, 0.06), (220, 60, 50))
    for x in (-0.42, 0.44):
        place.disc(x, 0.15, 0.17, _INK)
        place.disc(x, 0.15, 0.085, (206, 210, 216))
        spin = dice.between(0, pi)
        for spoke in range(3):
            angle = spin + spoke * tau / 3
            place.line([(x, 0.15), (x + cos(angle) * 0.07, 0.15 + sin(angle) * 0.07)], 0.016, _INK)


def robot(place: Place, metal: Colour, dice: Dice) -> None:
    """A friendly robot."""
    shade, light = darker(metal, 0.28), lighter(metal, 0.4)
    lamp = dice.pick(((96, 230, 190), (255, 208, 90), (120, 200, 255)))
    place.shadow(0.36)
    for side in (-1, 1):
        place.line([(side * 0.11, 0.06), (side * 0.11, 0.25)], 0.07, shade)
        place.oval(side * 0.13, 0.035, (0.11, 0.045), _INK)
    place.curve([(-0.24, 0.46), (-0.37, 0.36), (-0.34, 0.24)], 0.055, shade)
    place.curve([(0.24, 0.46), (0.39, 0.5), (0.41, 0.66)], 0.055, shade)
    place.disc(-0.34, 0.22, 0.05, light)
    place.disc(0.41, 0.69, 0.05, light)
    _slab(place, (-0.25, 0.2), (0.5, 0.34), metal)
    _slab(place, (-0.15, 0.27), (0.3, 0.18), light)
    for index in range(3):
        place.disc(-0.08 + index * 0.08, 0.36, 0.026, (lamp, (240, 98, 92), (250, 214, 100))[index])
    _slab(place, (-0.3, 0.56), (0.6, 0.33), metal)
    _slab(place, (-0.22, 0.63), (0.44, 0.2), mix(_INK, (40, 60, 90), 0.5))
    for side in (-1, 1):
        place.disc(side * 0.1, 0.75, 0.044, lamp)
        place.disc(side * 0.1 - 0.012, 0.765, 0.013, _WHITE)
    place.curve([(-0.06, 0.68), (0, 0.66), (0.06, 0.68)], 0.016, lamp)
    place.line([(0, 0.89), (0, 0.97)], 0.02, shade)
    place.disc(0, 0.99, 0.035, (240, 98, 92))


def _slab(
    place: Place, corner: tuple[float, float], size: tuple[float, float], colour: Colour
) -> None:
    left, top = place.at(corner[0], corner[1] + size[1])
    right, bottom = place.at(corner[0] + size[0], corner[1])
    wide = abs(right - left)
    place.canvas.box((min(left, right), top), (wide, bottom - top), colour, radius=wide * 0.1)


def balloon(place: Place, skin: Colour, dice: Dice) -> None:
    """A hot-air balloon."""
    stripe = lighter(skin, 0.62) if dice.roll() < 0.6 else mix(skin, (250, 210, 90), 0.7)
    for x in (-0.1, 0.1):
        place.line([(x * 1.5, 0.36), (x, 0.14)], 0.01, _WOOD)
    place.blob(
        [
            (0, 0.27),
            (-0.17, 0.36),
            (-0.34, 0.6),
            (-0.26, 0.88),
            (0, 1.0),
            (0.26, 0.88),
            (0.34, 0.6),
            (0.17, 0.36),
        ],
        skin,
    )
    place.blob(
        [
            (-0.03, 0.28),
            (-0.17, 0.45),
            (-0.2, 0.66),
            (-0.12, 0.9),
            (0, 0.99),
            (-0.05, 0.86),
            (-0.09, 0.6),
        ],
        stripe,
    )
    place.blob(
        [
            (0.03, 0.28),
            (0.17, 0.45),
            (0.2, 0.66),
            (0.12, 0.9),
            (0, 0.99),
            (0.05, 0.86),
            (0.09, 0.6),
        ],
        stripe,
    )
    place.oval(-0.2, 0.76, (0.035, 0.1), _WHITE, 0.35, turn=18)
    place.polygon([(-0.12, 0.15), (0.12, 0.15), (0.09, -0.01), (-0.09, -0.01)], (170, 118, 72))
    place.line([(-0.12, 0.15), (0.12, 0.15)], 0.024, (120, 78, 48))
    place.line([(-0.105, 0.07), (0.105, 0.07)], 0.01, (120, 78, 48))


def heart(place: Place, colour: Colour, dice: Dice) -> None:
    """A heart with a shine."""
    points = []
    for step in range(48):
        t = step * tau / 48
        x = 16 * sin(t) ** 3
        y = 13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)
        points.append((x / 34, 0.5 + y / 34))
    place.polygon([(x * 1.0 + 0.015, y - 0.03) for x, y in points], darker(colour, 0.35))
    place.polygon(points, colour)
    place.oval(-0.24, 0.68, (0.1, 0.06), _WHITE, dice.between(0.5, 0.7), turn=-35)


def star(place: Place, colour: Colour, dice: Dice) -> None:
    """A five-pointed star with a face."""
    points = []
    for step in range(10):
        radius = 0.5 if step % 2 == 0 else 0.25
        angle = step * pi / 5
        points.append((sin(angle) * radius, 0.5 + cos(angle) * radius))
    place.polygon([(x + 0.015, y - 0.03) for x, y in points], darker(colour, 0.35))
    place.polygon(points, colour)
    for side in (-1, 1):
        place.oval(side * 0.08, 0.54, (0.024, 0.036), _INK)
        place.disc(side * 0.13, 0.47, 0.026, (240, 128, 138), 0.6)
    smile = dice.between(0.41, 0.43)
    place.curve([(-0.06, 0.46), (0, smile), (0.06, 0.46)], 0.016, _INK)


def hat(place: Place, colour: Colour, dice: Dice) -> None:
    """A hat, to stand on a head: local (0, 0) is the middle of its brim."""
    tilt = dice.between(0.0, 0.05)
    place.blob(
        [(-0.55, 0.0), (0, -0.12), (0.55, 0.0 + tilt), (0.4, 0.1 + tilt), (-0.4, 0.1)],
        darker(colour, 0.15),
    )
    place.blob(
        [(-0.32, 0.02), (-0.3, 0.52), (0, 0.6), (0.3, 0.54 + tilt), (0.32, 0.02), (0, -0.06)],
        colour,
    )
    place.polygon(
        [(-0.325, 0.08), (-0.32, 0.22), (0.32, 0.22 + tilt), (0.325, 0.08)], lighter(colour, 0.6)
    )

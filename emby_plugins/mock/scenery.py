"""Where a picture is set: sky, light, and the land below it."""

import math
from dataclasses import dataclass

from emby_plugins.mock.canvas import Canvas, Dice
from emby_plugins.mock.colours import Colour, darker, lighter, mix

Stops = tuple[Colour, ...]

_SKIES: dict[str, Stops] = {
    "day": ((96, 174, 232), (150, 206, 242), (216, 237, 247)),
    "sunset": ((82, 74, 142), (226, 118, 112), (250, 190, 120), (254, 226, 160)),
    "night": ((14, 18, 52), (30, 40, 92), (64, 72, 128)),
    "space": ((10, 8, 30), (28, 18, 60), (52, 30, 84)),
    "winter": ((158, 190, 220), (206, 222, 236), (238, 242, 246)),
}
_GRASS: Colour = (116, 178, 82)
_SEA: Colour = (48, 128, 172)
_STONE: Colour = (126, 134, 156)
_PETALS: Stops = (
    (252, 252, 246),
    (248, 206, 70),
    (236, 96, 110),
    (178, 118, 206),
    (246, 166, 190),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What was asked of the place: the hour, the kind of land, and colours for its parts."""

    hour: str
    land: str
    sky: Colour | None = None
    ground: Colour | None = None


def paint_setting(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    """Paint everything behind the subject; returns the height of the ground it stands on."""
    _paint_sky(canvas, setting, dice)
    horizon = _LANDS[setting.land](canvas, setting, dice)
    if setting.hour == "winter":
        _snow(canvas, dice)
    return horizon


def _paint_sky(canvas: Canvas, setting: Setting, dice: Dice) -> None:
    stops = _SKIES[setting.hour]
    if setting.sky is not None:
        stops = (darker(setting.sky, 0.12), setting.sky, lighter(setting.sky, 0.55))
    bottom = 1.0 if setting.land == "space" else 0.8
    canvas.gradient(stops, 0.0, bottom)
    if bottom < 1.0:
        canvas.gradient(stops[-1:] * 2, bottom, 1.0)
    spot = (canvas.width * dice.pick((0.2, 0.78, 0.84)), dice.between(0.15, 0.22))
    if setting.hour in ("night", "space"):
        _stars(canvas, dice)
    if setting.hour == "night":
        canvas.glow(spot, 0.34, (220, 226, 255), 0.55)
        canvas.disc(spot, 0.075, (248, 244, 222))
        canvas.disc((spot[0] - 0.022, spot[1] - 0.018), 0.015, (226, 220, 198))
        canvas.disc((spot[0] + 0.026, spot[1] + 0.024), 0.011, (226, 220, 198))
    elif setting.hour == "sunset":
        low = (spot[0], 0.5)
        canvas.glow(low, 0.6, (255, 236, 170), 0.9)
        canvas.disc(low, 0.1, (255, 240, 190))
        _clouds(canvas, dice, (255, 206, 176), 0.5)
    elif setting.hour in ("day", "winter"):
        canvas.glow(spot, 0.42, (255, 250, 214), 0.8)
        canvas.disc(spot, 0.075, (255, 240, 160))
        _clouds(canvas, dice, (255, 255, 255), 0.85)


def _stars(canvas: Canvas, dice: Dice) -> None:
    for _ in range(round(70 * canvas.width)):
        spot = (dice.between(0, canvas.width), dice.roll())
        size = dice.between(0.0015, 0.0048)
        canvas.disc(spot, size, (255, 250, 230), dice.between(0.5, 1.0))


def _clouds(canvas: Canvas, dice: Dice, colour: Colour, opacity: float) -> None:
    count = max(2, round(3 * canvas.width))
    for index in range(count):
        x = canvas.width * (index + dice.between(0.15, 0.85)) / count
        y, size = dice.between(0.09, 0.32), dice.between(0.05, 0.085)
        puffs = ((-1.3, 0.3, 0.62), (-0.5, -0.2, 0.85), (0.45, -0.05, 0.95), (1.35, 0.32, 0.6))
        for dx, dy, radius in puffs:
            shade = (x + dx * size, y + (dy + 0.16) * size)
            canvas.disc(shade, radius * size, darker(colour, 0.10), opacity)
        for dx, dy, radius in puffs:
            canvas.disc((x + dx * size, y + dy * size), radius * size, colour, opacity)


def _ridge(canvas: Canvas, dice: Dice, base: float, rise: float, colour: Colour) -> None:
    """A line of rolling hills across the picture."""
    phase, pace = dice.between(0, math.tau), dice.between(2.2, 3.6)
    points = []
    steps = 64
    for step in range(steps + 1):
        x = canvas.width * step / steps
        wave = math.sin(x * pace + phase) + 0.4 * math.sin(x * pace * 2.3 + phase * 1.7)
        points.append((x, base - rise * wave))
    canvas.polygon([*points, (canvas.width, 1.05), (0.0, 1.05)], colour)


def _lit(colour: Colour, setting: Setting) -> Colour:
    if setting.hour == "night":
        return mix(colour, (22, 30, 76), 0.62)
    if setting.hour == "sunset":
        return mix(colour, (170, 84, 84), 0.3)
    return mix(colour, (240, 245, 250), 0.86) if setting.hour == "winter" else colour


def _meadow(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    grass = setting.ground or _lit(_GRASS, setting)
    haze = _SKIES[setting.hour][-1]
    _ridge(canvas, dice, 0.60, 0.035, mix(darker(grass, 0.12), haze, 0.5))
    _ridge(canvas, dice, 0.66, 0.03, mix(grass, haze, 0.22))
    for _ in range(round(5 * canvas.width)):
        spot = (dice.between(0, canvas.width), dice.between(0.63, 0.67))
        size = dice.between(0.05, 0.09)
        canvas.box((spot[0] - size * 0.06, spot[1]), (size * 0.12, size * 0.5), darker(grass, 0.6))
        canvas.disc((spot[0], spot[1] - size * 0.2), size * 0.5, darker(grass, 0.34))
        canvas.disc((spot[0] - size * 0.12, spot[1] - size * 0.3), size * 0.34, darker(grass, 0.22))
    _ridge(canvas, dice, 0.735, 0.012, grass)
    canvas.gradient((grass, darker(grass, 0.24)), 0.77, 1.0)
    _blades(canvas, dice, grass)
    if setting.hour != "winter":
        _flowers(canvas, dice, setting)
    return 0.90


def _blades(canvas: Canvas, dice: Dice, grass: Colour) -> None:
    for _ in range(round(110 * canvas.width)):
        x, y = dice.between(0, canvas.width), dice.between(0.79, 1.02)
        tall = 0.012 + (y - 0.74) * 0.13
        tip = (x + dice.between(-0.4, 0.4) * tall, y - tall)
        shade = lighter(grass, 0.2) if dice.roll() < 0.5 else darker(grass, 0.28)
        canvas.polygon([(x - tall * 0.1, y), tip, (x + tall * 0.1, y)], shade)


def _flowers(canvas: Canvas, dice: Dice, setting: Setting) -> None:
    for _ in range(round(30 * canvas.width)):
        x, y = dice.between(0, canvas.width), dice.between(0.78, 1.0)
        size = 0.004 + (y - 0.74) * 0.032
        petal = _lit(dice.pick(_PETALS), setting) if setting.hour == "night" else dice.pick(_PETALS)
        for turn in range(5):
            angle = turn * math.tau / 5 + x
            canvas.disc(
                (x + math.cos(angle) * size, y + math.sin(angle) * size), size * 0.72, petal
            )
        canvas.disc((x, y), size * 0.6, (244, 186, 60))


def _forest(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    grass = setting.ground or _lit((96, 156, 84), setting)
    haze = _SKIES[setting.hour][-1]
    for row, (base, share) in enumerate(((0.62, 0.55), (0.68, 0.3), (0.75, 0.08))):
        colour = mix(darker(grass, 0.36), haze, share)
        count = round((13 - row * 2) * canvas.width)
        for index in range(count + 1):
            x = canvas.width * (index + dice.between(-0.3, 0.3)) / count
            _fir(canvas, (x, base + 0.05), dice.between(0.20, 0.32) + row * 0.02, colour)
        _ridge(canvas, dice, base + 0.04, 0.008, colour)
    canvas.gradient((grass, darker(grass, 0.3)), 0.78, 1.0)
    _blades(canvas, dice, grass)
    return 0.90


def _fir(canvas: Canvas, foot: tuple[float, float], tall: float, colour: Colour) -> None:
    x, y = foot
    for level in range(3):
        top, low, half = 1 - level * 0.24, 0.62 - level * 0.24, 0.15 + level * 0.06
        points = [
            (x, y - tall * top),
            (x + tall * half, y - tall * low),
            (x - tall * half, y - tall * low),
        ]
        canvas.polygon(points, darker(colour, level * 0.04))


def _mountains(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    stone = _lit(_STONE, setting)
    haze = _SKIES[setting.hour][-1]
    for count, base, share in ((3, 0.34, 0.5), (2, 0.26, 0.1)):
        peaks = max(2, round(count * canvas.width))
        for index in range(peaks):
            x = canvas.width * (index + dice.between(0.2, 0.8)) / peaks
            _peak(canvas, (x, base + dice.between(-0.06, 0.08)), mix(stone, haze, share), dice)
    return _meadow(canvas, setting, dice)


def _peak(canvas: Canvas, top: tuple[float, float], stone: Colour, dice: Dice) -> None:
    x, y = top
    half = (0.74 - y) * dice.between(0.72, 0.95)
    canvas.polygon([(x, y), (x + half, 0.78), (x - half, 0.78)], lighter(stone, 0.12))
    canvas.polygon([(x, y), (x + half, 0.78), (x + half * 0.1, 0.78)], darker(stone, 0.2))
    cap = (0.74 - y) * 0.3
    side = cap * half / (0.78 - y)
    snow = [(x, y), (x + side, y + cap), (x + side * 0.4, y + cap * 0.72), (x, y + cap * 1.05)]
    snow += [(x - side * 0.4, y + cap * 0.74), (x - side, y + cap)]
    canvas.polygon(snow, (250, 251, 253))


def _sea(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    sea = setting.ground or _lit(_SEA, setting)
    haze = _SKIES[setting.hour][-1]
    canvas.gradient((mix(sea, haze, 0.55), sea, darker(sea, 0.38)), 0.58, 1.0)
    for _ in range(round(60 * canvas.width)):
        y = 0.6 + 0.4 * dice.roll() ** 1.4
        x, long = dice.between(0, canvas.width), 0.02 + (y - 0.58) * 0.16
        arc = [
            (x - long, y),
            (x - long / 2, y - long * 0.12),
            (x, y),
            (x + long / 2, y - long * 0.12),
        ]
        canvas.curve([*arc, (x + long, y)], 0.0022 + (y - 0.58) * 0.008, lighter(sea, 0.42))
    return 0.80


def _beach(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    _sea(canvas, setting, dice)
    sand = _lit((236, 212, 160), setting)
    _ridge(canvas, dice, 0.775, 0.012, (246, 250, 250))
    _ridge(canvas, dice, 0.79, 0.012, sand)
    canvas.gradient((sand, darker(sand, 0.14)), 0.83, 1.0)
    for _ in range(round(50 * canvas.width)):
        spot = (dice.between(0, canvas.width), dice.between(0.83, 1.0))
        canvas.disc(spot, dice.between(0.002, 0.005), darker(sand, 0.2))
    return 0.91


def _desert(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    sand = setting.ground or _lit((232, 182, 110), setting)
    for base, share in ((0.6, 0.35), (0.68, 0.15), (0.78, 0.0)):
        _ridge(canvas, dice, base, 0.04, mix(sand, (250, 226, 180), share))
        _ridge(canvas, dice, base + 0.035, 0.045, mix(darker(sand, 0.1), (250, 226, 180), share))
    return 0.91


def _city(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    dark = setting.hour in ("night", "sunset")
    haze = _SKIES[setting.hour][-1]
    for row, (low, share) in enumerate(((0.36, 0.5), (0.46, 0.18))):
        x = -0.02
        while x < canvas.width:
            wide, top = dice.between(0.08, 0.15), low + dice.between(-0.14, 0.12)
            wall = _lit(dice.pick(((122, 134, 162), (158, 132, 134), (112, 148, 160))), setting)
            wall = mix(wall, haze, share)
            canvas.box((x, top), (wide, 1 - top), wall)
            canvas.box((x, top), (wide * 0.16, 1 - top), lighter(wall, 0.12))
            _windows(canvas, dice, (x, top, wide), wall, lit=dark)
            x += wide + dice.between(0.0, 0.02) * row
    street = _lit((120, 124, 134), setting)
    canvas.gradient((lighter(street, 0.2), street, darker(street, 0.2)), 0.80, 1.0)
    for index in range(round(6 * canvas.width) + 1):
        canvas.box((index * 0.19 + 0.02, 0.955), (0.1, 0.014), (236, 226, 180), radius=0.006)
    return 0.91


def _windows(
    canvas: Canvas, dice: Dice, house: tuple[float, float, float], wall: Colour, *, lit: bool
) -> None:
    x, top, wide = house
    columns = max(2, round(wide / 0.035))
    step = wide / (columns + 0.5)
    for row in range(int((0.79 - top) / 0.052)):
        for column in range(columns):
            glowing = dice.roll() < (0.55 if lit else 0.12)
            pane = (255, 222, 130) if glowing else darker(wall, 0.3)
            corner = (x + step * (column + 0.42), top + 0.026 + row * 0.052)
            canvas.box(corner, (step * 0.5, 0.026), pane)


def _space(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    haze = dice.pick(((150, 70, 160), (60, 90, 190), (190, 80, 110)))
    canvas.glow((canvas.width * 0.3, 0.55), 0.6, haze, 0.5)
    canvas.glow((canvas.width * 0.8, 0.35), 0.45, mix(haze, (60, 160, 200), 0.6), 0.45)
    planet = setting.ground or dice.pick(((222, 150, 96), (96, 168, 190), (196, 120, 150)))
    spot, radius = (canvas.width * dice.pick((0.16, 0.84)), 0.26), 0.13
    canvas.disc(spot, radius, planet)
    canvas.oval((spot[0] - 0.02, spot[1] - 0.04), (radius * 0.72, 0.022), lighter(planet), 0.7)
    canvas.oval((spot[0] + 0.01, spot[1] + 0.05), (radius * 0.8, 0.016), darker(planet), 0.6)
    canvas.curve(
        [
            (
                spot[0] + math.cos(a) * radius * 1.7,
                spot[1] + math.sin(a) * radius * 0.42 - math.cos(a) * 0.05,
            )
            for a in (x * math.pi / 12 for x in range(-2, 15))
        ],
        0.011,
        (240, 220, 180),
    )
    return 0.86


def _snow(canvas: Canvas, dice: Dice) -> None:
    for _ in range(round(90 * canvas.width)):
        spot = (dice.between(0, canvas.width), dice.roll())
        canvas.disc(spot, dice.between(0.003, 0.009), (255, 255, 255), dice.between(0.6, 1.0))


def _plain(canvas: Canvas, setting: Setting, dice: Dice) -> float:
    """A quiet backdrop, for a logo or a portrait."""
    tone = (
        setting.ground
        or setting.sky
        or dice.pick(((250, 226, 196), (206, 228, 232), (226, 216, 240)))
    )
    canvas.gradient((lighter(tone, 0.4), tone), 0.0, 1.0)
    ring = lighter(tone, 0.35)
    canvas.disc((canvas.width / 2, 0.5), 0.43, ring)
    return 0.86


_LANDS = {
    "meadow": _meadow,
    "forest": _forest,
    "mountains": _mountains,
    "sea": _sea,
    "beach": _beach,
    "desert": _desert,
    "city": _city,
    "space": _space,
    "plain": _plain,
}

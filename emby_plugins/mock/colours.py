"""Colours: what words mean in a prompt, and what a measured colour is called."""

import colorsys
import re
from functools import lru_cache

Colour = tuple[int, int, int]

NAMED: dict[str, Colour] = {
    "black": (38, 36, 42),
    "white": (248, 247, 243),
    "grey": (146, 150, 156),
    "gray": (146, 150, 156),
    "silver": (196, 202, 208),
    "red": (217, 56, 52),
    "crimson": (178, 30, 56),
    "scarlet": (222, 50, 36),
    "orange": (240, 140, 48),
    "ginger": (224, 138, 66),
    "golden": (222, 168, 84),
    "gold": (230, 182, 62),
    "yellow": (248, 208, 66),
    "green": (82, 160, 78),
    "turquoise": (60, 186, 178),
    "teal": (36, 136, 138),
    "cyan": (88, 200, 222),
    "blue": (62, 116, 206),
    "navy": (38, 58, 112),
    "violet": (134, 88, 196),
    "purple": (132, 76, 178),
    "magenta": (206, 62, 152),
    "pink": (244, 152, 178),
    "brown": (136, 92, 60),
    "beige": (226, 206, 170),
    "cream": (246, 234, 208),
}
COLOUR_WORD = re.compile(rf"\b({'|'.join(NAMED)})\b", re.IGNORECASE)

# Upper bounds of hue in degrees. Red ends where it began.
_HUES = (
    (14, "red"),
    (42, "orange"),
    (66, "yellow"),
    (158, "green"),
    (194, "turquoise"),
    (254, "blue"),
    (292, "purple"),
    (342, "pink"),
    (361, "red"),
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` of `second` in it."""
    a, b, c = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return a, b, c


def darker(colour: Colour, share: float = 0.2) -> Colour:
    """`colour` in the shade: towards a deep blue rather than towards black."""
    return mix(colour, (24, 22, 48), share)


def lighter(colour: Colour, share: float = 0.25) -> Colour:
    """`colour` in the light: towards a warm white."""
    return mix(colour, (255, 252, 240), share)


@lru_cache(maxsize=8192)
def colour_name(red: int, green: int, blue: int) -> str:
    """What a person would call the colour, such as `light blue`."""
    hue, lightness, _ = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    chroma = (max(red, green, blue) - min(red, green, blue)) / 255
    if chroma < 0.14 or lightness < 0.07 or lightness > 0.97:
        return _grey_name(lightness)
    degrees = hue * 360
    name = next(name for end, name in _HUES if degrees < end)
    if name in ("red", "orange", "yellow") and 14 <= degrees < 66:
        if lightness < 0.42 and name == "orange":
            return "brown" if lightness > 0.2 else "dark brown"
        if lightness > 0.72 and chroma < 0.45:
            return "beige"
        if lightness < 0.34:
            return "olive"
    if name == "red" and lightness > 0.72:
        return "pink"
    if lightness < 0.26:
        return f"dark {name}"
    return f"light {name}" if lightness > 0.74 else name


def _grey_name(lightness: float) -> str:
    steps = ((0.13, "black"), (0.38, "dark grey"), (0.66, "grey"), (0.90, "light grey"))
    return next((name for end, name in steps if lightness < end), "white")

"""Colors: what words mean in a prompt, and what a measured color is called."""

import colorsys
import re
from functools import lru_cache

Color = tuple[int, int, int]

_HEX = {
    "black": "#26242a", "white": "#f8f7f3", "grey": "#92969c", "gray": "#92969c",
    "silver": "#c4cad0", "red": "#d93834", "crimson": "#b21e38", "scarlet": "#de3224",
    "orange": "#f08c30", "ginger": "#e08a42", "golden": "#dea854", "gold": "#e6b63e",
    "yellow": "#f8d042", "green": "#52a04e", "turquoise": "#3cbab2", "teal": "#24888a",
    "cyan": "#58c8de", "blue": "#3e74ce", "navy": "#263a70", "violet": "#8658c4",
    "purple": "#844cb2", "magenta": "#ce3e98", "pink": "#f498b2", "brown": "#885c3c",
    "beige": "#e2ceaa", "cream": "#f6ead0",
}  # fmt: skip

# Upper bounds of hue in degrees. Red is at both ends of the circle.
_HUES = (
    (14, "red"), (42, "orange"), (66, "yellow"), (158, "green"), (194, "turquoise"),
    (254, "blue"), (292, "purple"), (342, "pink"), (361, "red"),
)  # fmt: skip
_GRAYS = ((0.13, "black"), (0.38, "dark gray"), (0.66, "gray"), (0.90, "light gray"))


def parse_color(text: str) -> Color:
    """The color of a name in `NAMED`, or of `#rrggbb`."""
    red, green, blue = bytes.fromhex(_HEX.get(text, text)[1:])
    return red, green, blue


NAMED: dict[str, Color] = {name: parse_color(name) for name in _HEX}
COLOR_WORD = re.compile(rf"\b({'|'.join(NAMED)})\b", re.IGNORECASE)


def mix(first: Color, second: Color, share: float) -> Color:
    """`first` with `share` of `second` in it."""
    a, b, c = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return a, b, c


def darker(color: Color, share: float = 0.2) -> Color:
    """`color` in the shade: towards a deep blue rather than towards black."""
    return mix(color, (24, 22, 48), share)


def lighter(color: Color, share: float = 0.25) -> Color:
    """`color` in the light: towards a warm white."""
    return mix(color, (255, 252, 240), share)


@lru_cache(maxsize=8192)
def color_name(red: int, green: int, blue: int) -> str:
    """What a person would call the color, such as `light blue`."""
    hue, lightness, _ = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    chroma = (max(red, green, blue) - min(red, green, blue)) / 255
    if chroma < 0.14 or lightness < 0.07 or lightness > 0.97:
        return next((name for end, name in _GRAYS if lightness < end), "white")
    degrees = hue * 360
    name = next(name for end, name in _HUES if degrees < end)
    if name == "orange" and lightness < 0.42:
        return "brown" if lightness > 0.2 else "dark brown"
    if name in ("orange", "yellow") and lightness > 0.72 and chroma < 0.45:
        return "beige"
    if name in ("orange", "yellow") and lightness < 0.34:
        return "olive"
    if name == "red" and lightness > 0.72:
        return "pink"
    if lightness < 0.26:
        return f"dark {name}"
    return f"light {name}" if lightness > 0.74 else name

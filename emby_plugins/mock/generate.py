"""Generate an image of a prompt: its subject in its colors, on its land, at its hour.

The same prompt gives the same picture, pixel for pixel: what it leaves open, its digest decides.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

import msgspec
from PIL import Image, ImageDraw, ImageFont

from emby_plugins.mock.colors import COLOR_WORD, NAMED, Color, parse_color
from emby_plugins.mock.landscape import Hour, Landscape, Layer, SeededRandom

_MAX_SIDE = 1024
"""Larger pictures are drawn at this size and enlarged: time stays bounded."""

_LOGO = re.compile(r"\b(logo|icon|badge|emblem|avatar|sticker)\b", re.IGNORECASE)
_HAT = re.compile(r"\b(hat|cap|crown|helmet)\b", re.IGNORECASE)
_HAT_COLORS = ("red", "navy", "purple", "teal")
_SKY = re.compile(r"\W+(?:\w+\W+)?(sky|skies|background|backdrop)\b", re.IGNORECASE)
_GROUND = re.compile(
    r"\W+(?:\w+\W+)?(sea|ocean|lake|water|grass|meadow|fields?|sand|desert|ground|planet)\b",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"^[\w ,']{0,60}?\b(?:draw|paint|(?:images?|pictures?|photos?|drawings?|logos?) (?:of|for)) ",
    re.IGNORECASE,
)


class Subject(msgspec.Struct, frozen=True):
    """A subject: its usual colors, the land it belongs to, its height and how high its foot is.

    `hat` is where one sits on it: x, y and width in heights of the subject.
    """

    words: str
    sprite: str
    coats: tuple[str, ...]
    land: str = "meadow"
    height: float = 0.52
    lift: float = 0.0
    hat: tuple[float, float, float] | None = None


class Land(msgspec.Struct, frozen=True):
    """A kind of land: the colors of its ground, its layers, and the height of a subject's foot."""

    words: str
    ground: tuple[str, ...]
    layers: tuple[Layer, ...]
    foot: float = 0.9
    hour: str | None = None


class Scenes(msgspec.Struct, frozen=True):
    """All that can be shown: `scenes.toml`."""

    subjects: tuple[Subject, ...]
    kinds: dict[str, str]
    hours: dict[str, Hour]
    lands: dict[str, Land]


Named = TypeVar("Named", Hour, Land)


@lru_cache(maxsize=1)
def load_scenes() -> Scenes:
    """What can be shown."""
    text = files("emby_plugins.mock").joinpath("scenes.toml").read_bytes()
    return msgspec.toml.decode(text, type=Scenes)


def generate(prompt: str, size: tuple[int, int], *, variant: int = 0) -> Image.Image:
    """An RGB picture of `prompt`, `size` pixels; another `variant` gives another picture."""
    chance = SeededRandom(f"{prompt}\n{variant}")
    scale = min(1.0, _MAX_SIDE / max(size))
    drawn = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    picture = _compose(prompt, drawn, chance)
    _caption(picture, prompt)
    return picture if drawn == size else picture.resize(size, Image.Resampling.BICUBIC)


def _compose(prompt: str, size: tuple[int, int], chance: SeededRandom) -> Image.Image:
    scenes = load_scenes()
    subject = _find_subject(prompt)
    named = "plain" if _LOGO.search(prompt) else _find(scenes.lands, prompt)
    hour = _find(scenes.hours, prompt)
    if not (subject or named or hour):
        subject = chance.choice(scenes.subjects)
    name = named or (subject.land if subject else chance.choice(("meadow", "mountains", "sea")))
    if name == "space" and hour and not named:
        name = "meadow"  # A rocket at sunset starts from the ground.
    land = scenes.lands[name]
    coat, sky, ground = _find_colors(prompt)
    # A color that names nothing is the subject's, or else the land's.
    ground = ground or (None if subject else coat) or (sky if name == "plain" else None)
    ground = ground or parse_color(chance.choice(land.ground))
    light = scenes.hours[land.hour or hour or "day"]
    landscape = Landscape(size, light, sky, ground, chance)
    landscape.draw(light.layers if name != "plain" else ())
    landscape.draw(land.layers)
    if subject:
        _add_subjects(landscape, subject, prompt, land.foot, coat, chance)
    landscape.draw(light.front)
    return landscape.image


def _add_subjects(
    landscape: Landscape,
    subject: Subject,
    prompt: str,
    foot: float,
    coat: Color | None,
    chance: SeededRandom,
) -> None:
    """Add the subject as often as the prompt counts it, up to three times."""
    words = rf"\b(two|three|four|five|some|many)\s+(?:\w+\s+){{0,2}}?(?:{subject.words})\b"
    counted = re.search(words, prompt, re.IGNORECASE)
    count = 1 if counted is None else 2 if counted[1].lower() == "two" else 3
    kinds = load_scenes().kinds
    kind = next((kinds[word] for word in re.findall("[a-z]+", prompt.lower()) if word in kinds), "")
    for index in range(count):
        color = coat or NAMED[kind or chance.choice(subject.coats)]
        height = min(subject.height * (1.0, 0.8, 0.62)[count - 1], landscape.width * 0.8 / count)
        height *= chance.uniform(0.94, 1.08)
        x = landscape.width * ((index + 0.5) / count + chance.uniform(-0.07, 0.07))
        y = foot - subject.lift
        mirrored = chance.random() < 0.5
        landscape.add(subject.sprite, (x, y), height, color, mirrored)
        if subject.hat and _HAT.search(prompt):
            right, up, wide = (part * height for part in subject.hat)
            brim = (x - right if mirrored else x + right, y - up)
            landscape.add("hat", brim, wide, NAMED[chance.choice(_HAT_COLORS)], mirrored)


def _caption(picture: Image.Image, prompt: str) -> None:
    """Write the prompt on the lower edge, as far as it fits and the built-in font has letters."""
    text = (
        unicodedata.normalize("NFKD", _REQUEST.sub("", prompt)).encode("ascii", "ignore").decode()
    )
    text = " ".join(text.split())
    size = max(10, round(min(picture.size) * 0.036))
    if not text or picture.height < size * 8:
        return
    font = ImageFont.load_default(size)
    room = picture.width - size
    if font.getlength(text) > room:
        while font.getlength(f"{text}...") > room:
            text = text[:-1]
        text = f"{text.rstrip()}..."
    width, height = picture.size
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.rectangle((0, height - size * 1.6, width, height), (20, 22, 40, 110))
    draw.text((width / 2, height - size * 0.8), text, (255, 255, 255), font, anchor="mm")


def _find_subject(prompt: str) -> Subject | None:
    """The subject named first."""
    found = []
    for subject in load_scenes().subjects:
        match = re.search(rf"\b({subject.words})\b", prompt, re.IGNORECASE)
        if match:
            found.append((match.start(), subject))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _find(table: Mapping[str, Named], prompt: str) -> str | None:
    """The first entry of the table that the prompt names."""
    for name, entry in table.items():
        if re.search(rf"\b({entry.words})\b", prompt, re.IGNORECASE):
            return name
    return None


def _find_colors(prompt: str) -> tuple[Color | None, Color | None, Color | None]:
    """The colors named for the subject, the sky and the ground."""
    coat = sky = ground = None
    for match in COLOR_WORD.finditer(prompt):
        color = NAMED[match[1].lower()]
        if re.match(r"\s+hour", prompt[match.end() :]):
            continue
        if _SKY.match(prompt, match.end()):
            sky = sky or color
        elif _GROUND.match(prompt, match.end()):
            ground = ground or color
        else:
            coat = coat or color
    return coat, sky, ground

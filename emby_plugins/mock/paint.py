"""Paints a picture from a prompt: subject, place, colours; the prompt's digest does the rest.

The same prompt gives the same picture, pixel for pixel.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from emby_plugins.mock import animals, things
from emby_plugins.mock.canvas import Canvas, Dice, Place
from emby_plugins.mock.colours import COLOUR_WORD, NAMED, Colour
from emby_plugins.mock.scenery import Setting, paint_setting

Painter = Callable[[Place, Colour, Dice], None]

_DRAWN_SIDE = 1024
"""Pictures larger than this are drawn at this size and enlarged: time stays bounded."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing that can be painted.

    `coats` are its usual colours, `head` is where a hat sits as (x, y, width), `lift` raises it
    above the ground, and `land` is where it is at home.
    """

    words: str
    paint: Painter
    coats: tuple[str, ...]
    land: str = "meadow"
    height: float = 0.52
    lift: float = 0.0
    head: tuple[float, float, float] | None = None


_SUBJECTS = (
    Subject("dog|dogs|doggy|puppy|puppies|pup|retriever|labrador|poodle|hound|corgi|beagle",
            animals.dog, ("golden", "brown", "beige"), head=(0.0, 0.9, 0.42)),
    Subject("cat|cats|kitten|kittens|kitty|tabby|lion|tiger|fox",
            animals.cat, ("ginger", "grey", "brown"), head=(0.0, 0.86, 0.38)),
    Subject("bird|birds|robin|parrot|owl|duck|sparrow|chicken|penguin|eagle|finch",
            animals.bird, ("blue", "red", "yellow"), height=0.42, head=(0.17, 0.88, 0.32)),
    Subject("fish|goldfish|shark|whale|dolphin",
            animals.fish, ("orange", "yellow", "turquoise"), "sea", 0.32, -0.12),
    Subject("rocket|rockets|spaceship|spacecraft|shuttle",
            things.rocket, ("white", "silver"), "space", 0.52, 0.16),
    Subject("boat|boats|ship|sailboat|yacht|sail",
            things.boat, ("red", "navy", "white"), "sea", 0.48),
    Subject("car|cars|automobile|taxi|van|truck",
            things.car, ("red", "blue", "yellow"), "city", 0.30),
    Subject("robot|robots|android|machine",
            things.robot, ("silver", "teal", "orange"), height=0.54, head=(0.0, 0.9, 0.44)),
    Subject("face|portrait|person|man|woman|boy|girl|child|smile|astronaut|chef|wizard|king|queen",
            animals.face, ("blue", "red", "green"), "plain", 0.72, -0.16, (0.0, 0.86, 0.5)),
    Subject("house|houses|cottage|home|cabin|castle|barn|hut|church",
            things.house, ("cream", "beige", "white"), height=0.48),
    Subject("balloon|balloons|airship",
            things.balloon, ("red", "orange", "purple"), "mountains", 0.52, 0.26),
    Subject("heart|hearts|love|valentine", things.heart, ("red", "pink"), "plain", 0.56, 0.1),
    Subject("star|badge", things.star, ("yellow", "gold"), "plain", 0.6, 0.08),
    Subject("flower|flowers|rose|tulip|sunflower|daisy|daisies|poppy|blossom",
            animals.flower, ("pink", "yellow", "red", "violet"), height=0.62),
    Subject("tree|trees|oak|apple|apples|willow", things.tree, ("green",), height=0.62),
)  # fmt: skip
_LOGO = re.compile(r"\b(logo|icon|badge|emblem|avatar|sticker)\b", re.IGNORECASE)
_HAT = re.compile(r"\b(hat|cap|crown|helmet)\b", re.IGNORECASE)
_OWN_COATS = {
    "sunflower": "yellow", "rose": "red", "poppy": "red", "daisy": "white", "daisies": "white",
    "goldfish": "orange", "shark": "grey", "penguin": "black", "robin": "red", "corgi": "ginger",
    "labrador": "cream", "retriever": "golden", "fox": "orange", "taxi": "yellow",
}  # fmt: skip
_HOUR_WORDS = (
    ("winter", "snow|snowy|winter|christmas|ice|frozen"),
    ("sunset", "sunset|sunrise|dusk|dawn|evening|golden hour"),
    ("night", "night|nights|midnight|moon|moonlit|moonlight|starry|stars|dark"),
)
_LAND_WORDS = (
    ("space", "space|planet|planets|galaxy|cosmos|orbit|mars|saturn"),
    ("beach", "beach|shore|seaside|sand|island"),
    ("sea", "sea|ocean|lake|water|waves|harbour|harbor|river|sailing"),
    ("city", "city|street|town|skyline|skyscrapers?|buildings?|urban|downtown"),
    ("mountains", "mountains?|alps|peaks?|valley|cliffs?"),
    ("forest", "forest|woods?|jungle|pines?|firs?"),
    ("desert", "desert|dunes?|sahara"),
    ("meadow", "meadow|field|fields|garden|park|grass|hills?|countryside|lawn"),
    ("plain", "portrait|plain background|studio|headshot"),
)
_SKY_WORDS = re.compile(r"\b(sky|skies|background|backdrop)\b", re.IGNORECASE)
_GROUND_WORDS = re.compile(
    r"\b(sea|ocean|lake|water|grass|meadow|fields?|sand|desert|ground|planet)\b", re.IGNORECASE
)
_NEAR = 12


def paint(prompt: str, size: tuple[int, int], *, variant: int = 0) -> Image.Image:
    """An RGB picture of `prompt`, `size` pixels; another `variant` gives another picture."""
    dice = Dice(f"{prompt}\n{variant}")
    width, height = size
    shrink = max(1.0, max(size) / _DRAWN_SIDE)
    drawn = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    oversample = 3 if max(drawn) <= 512 else 2
    canvas = Canvas(drawn, oversample)
    _compose(canvas, prompt, dice)
    picture = canvas.finished()
    return picture if drawn == size else picture.resize(size, Image.Resampling.BICUBIC)


def _compose(canvas: Canvas, prompt: str, dice: Dice) -> None:
    subject = _find_subject(prompt)
    land = "plain" if _LOGO.search(prompt) else _first(_LAND_WORDS, prompt)
    hour = _first(_HOUR_WORDS, prompt)
    if subject is None and land is None and hour is None:
        subject = dice.pick(_SUBJECTS)
    if land is None:
        land = subject.land if subject else dice.pick(("meadow", "mountains", "sea"))
    if land == "space" and hour is not None and _first(_LAND_WORDS, prompt) != "space":
        land = "meadow"  # a rocket at sunset starts from the ground
    hour = "space" if land == "space" else hour or "day"
    coat, sky, ground = _colours(prompt)
    if subject is None:
        # A landscape without a subject: colours that name nothing tint the land.
        paint_setting(canvas, Setting(hour, land, sky, ground or coat), dice)
        return
    horizon = paint_setting(canvas, Setting(hour, land, sky, ground), dice)
    _place(canvas, subject, prompt, horizon, dice)


def _place(canvas: Canvas, subject: Subject, prompt: str, horizon: float, dice: Dice) -> None:
    """Paint the subject as often as the prompt counts it, up to three times."""
    coat = _colours(prompt)[0]
    words = rf"\b(two|three|four|five|some|many)\s+(?:\w+\s+){{0,2}}?(?:{subject.words})\b"
    counted = re.search(words, prompt, re.IGNORECASE)
    count = 1 if counted is None else 2 if counted[1].lower() == "two" else 3
    size = subject.height * (1.0, 0.8, 0.62)[count - 1]
    hat = _HAT.search(prompt) is not None
    for index in range(count):
        shade = coat or NAMED[_own_coat(prompt) or dice.pick(subject.coats)]
        spot = ((index + 0.5) / count, horizon, min(size, canvas.width * 0.8 / count))
        _paint_one(canvas, subject, spot, shade, dice, hat=hat)


def _paint_one(
    canvas: Canvas,
    subject: Subject,
    spot: tuple[float, float, float],
    coat: Colour,
    dice: Dice,
    *,
    hat: bool,
) -> None:
    centre, horizon, height = spot
    foot = (canvas.width * (centre + dice.between(-0.07, 0.07)), horizon - subject.lift)
    mirrored = dice.roll() < 0.5
    height = height * dice.between(0.94, 1.08)
    subject.paint(Place(canvas, foot, height, mirrored=mirrored), coat, dice)
    if subject.head is not None and hat:
        x, y, wide = subject.head
        brim = Place(canvas, foot, height, mirrored=mirrored).at(x, y)
        shade = dice.pick(tuple(NAMED[name] for name in ("red", "navy", "purple", "teal")))
        things.hat(Place(canvas, brim, wide * height, mirrored=mirrored), shade, dice)


def _find_subject(prompt: str) -> Subject | None:
    """The subject named first."""
    found = []
    for subject in _SUBJECTS:
        match = re.search(rf"\b({subject.words})\b", prompt, re.IGNORECASE)
        if match:
            found.append((match.start(), subject))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _own_coat(prompt: str) -> str | None:
    """The colour a named kind of thing has by nature."""
    words = re.findall(r"[a-z]+", prompt.lower())
    return next((_OWN_COATS[word] for word in words if word in _OWN_COATS), None)


def _first(table: tuple[tuple[str, str], ...], prompt: str) -> str | None:
    return next(
        (name for name, words in table if re.search(rf"\b({words})\b", prompt, re.IGNORECASE)), None
    )


def _colours(prompt: str) -> tuple[Colour | None, Colour | None, Colour | None]:
    """The colours named for the subject, the sky and the ground."""
    coat = sky = ground = None
    for match in COLOUR_WORD.finditer(prompt):
        colour = NAMED[match[1].lower()]
        after = prompt[match.end() : match.end() + _NEAR]
        if re.match(r"\s+hour", after):
            continue
        if _SKY_WORDS.search(after):
            sky = sky or colour
        elif _GROUND_WORDS.search(after):
            ground = ground or colour
        else:
            coat = coat or colour
    return coat, sky, ground

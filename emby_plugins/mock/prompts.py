"""What the words of a prompt ask for: a picture, an edit or an answer; how many, in what form."""

import re

from emby_plugins.mock.requests import MAX_IMAGES

_NOUN = (
    r"(?:images?|pictures?|pics?|photos?|photographs?|logos?|icons?|drawings?|paintings?|"
    r"illustrations?|sketch(?:es)?|portraits?|posters?|wallpapers?|artworks?|avatars?|cartoons?|"
    r"watercolou?rs?|variations?|versions?|banners?|stickers?)"
)
_POLITE = (
    r"(?:(?:please|now|then|ok(?:ay)?|hey|hi|kindly|just|can you|could you|would you|will you|"
    r"i want you to|i(?:'d| would) like you to|let's)[\s,!.:]+)*+"
)
_START = rf"^\W*{_POLITE}"
_MAKES = re.compile(
    rf"{_START}(?:generate|create|make|produce|render|design|paint|draw|illustrate|sketch|imagine|"
    rf"show me|give me|send me|i want|i(?:'d| would) like|i need)\b[^.?!\n]{{0,60}}?\b{_NOUN}\b",
    re.IGNORECASE,
)
_DRAWS = re.compile(rf"{_START}(?:draw|paint|illustrate|sketch|render)\b", re.IGNORECASE)
_OF = re.compile(
    rf"\b(?:an?|another|some|one|two|three|\d)\s+(?:[\w-]+\s+){{0,3}}{_NOUN}\s+of\b", re.IGNORECASE
)
_ASKS = re.compile(
    rf"{_START}(?:what|which|who|whose|where|when|why|how|is|are|was|were|do|does|did|has|have|"
    r"describe|compare|explain|tell|read|extract|transcribe|list|count|identify|summari[sz]e|"
    r"analy[sz]e|caption|write|say|find|ocr|translate|"
    r"give (?:me )?a (?:[\w-]+ ){0,2}(?:description|caption|summary))\b",
    re.IGNORECASE,
)
_REQUEST = re.compile(rf"^\W*{_POLITE}(?=\w)", re.IGNORECASE)
_TEXT_OUT = re.compile(
    r"\b(?:extract|read|transcribe)\b[^.?!]{0,40}\btext\b|\bocr\b", re.IGNORECASE
)
_BACK = re.compile(
    r"\b(?:it|its|this|that|them|these|those|"
    r"(?:the|my|last|previous) (?:image|picture|photo|drawing))\b",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"^\W*(?:now|and now|then|also|again|another|one more|make it|add|give it|with)\b",
    re.IGNORECASE,
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_COUNT = re.compile(
    rf"\b({'|'.join(_COUNTS)}|\d{{1,3}})\s+(?:[\w-]+\s+){{0,2}}?{_NOUN}\b", re.IGNORECASE
)
_FORMAT = re.compile(r"\b(?:as|in)\s+(?:an?\s+)?(png|jpe?g|webp|gif)\b", re.IGNORECASE)


def asks_for_picture(text: str) -> bool:
    """Whether a prompt without images asks for one to be made."""
    if _MAKES.search(text) or _DRAWS.search(text):
        return True
    return not _ASKS.search(text) and _OF.search(text) is not None


def is_question(text: str) -> bool:
    """Whether a prompt with images wants them looked at; otherwise it is an instruction to edit.

    A polite request for a change (`Could you blur this?`) is an instruction.
    """
    if not text.strip() or _TEXT_OUT.search(text) or _ASKS.search(text):
        return True
    polite = _REQUEST.match(text)
    return text.rstrip().endswith("?") and not (polite and polite[0].strip())


def refers_back(text: str) -> bool:
    """Whether a prompt speaks of an image of an earlier turn (`now with a hat`, `make it red`)."""
    return _NOW.search(text) is not None or _BACK.search(text) is not None


def makes_anew(text: str) -> bool:
    """Whether a prompt asks for a new picture in so many words (`generate an image of ...`)."""
    return _MAKES.search(text) is not None and _OF.search(text) is not None


def count_of(text: str) -> int:
    """How many pictures are asked for, 1 to 8."""
    match = _COUNT.search(text)
    if not match:
        return 1
    word = match[1].lower()
    return max(1, min(MAX_IMAGES, _COUNTS.get(word) or int(word)))


def format_of(text: str) -> str:
    """The image format asked for: `as a JPEG`; PNG otherwise."""
    match = _FORMAT.search(text)
    name = match[1].upper() if match else "PNG"
    return "JPEG" if name == "JPG" else name

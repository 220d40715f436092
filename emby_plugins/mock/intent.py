"""What a prompt wants: an image, an edit or an answer; how many, in which format."""

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


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_MAKES = _compiled(
    rf"{_START}(?:generate|create|make|produce|render|design|paint|draw|illustrate|sketch|imagine|"
    rf"show me|give me|send me|i want|i(?:'d| would) like|i need)\b[^.?!\n]{{0,60}}?\b{_NOUN}\b"
)
_DRAWS = _compiled(rf"{_START}(?:draw|paint|illustrate|sketch|render)\b")
_OF = _compiled(rf"\b(?:an?|another|some|one|two|three|\d)\s+(?:[\w-]+\s+){{0,3}}{_NOUN}\s+of\b")
_ASKS = _compiled(
    rf"{_START}(?:what|which|who|whose|where|when|why|how|is|are|was|were|do|does|did|has|have|"
    r"describe|compare|explain|tell|read|extract|transcribe|list|count|identify|summari[sz]e|"
    r"analy[sz]e|caption|write|say|find|ocr|translate|"
    r"give (?:me )?a (?:[\w-]+ ){0,2}(?:description|caption|summary))\b"
)
_POLITE_REQUEST = _compiled(rf"^\W*{_POLITE}(?=\w)")
_READS_TEXT = _compiled(r"\b(?:extract|read|transcribe)\b[^.?!]{0,40}\btext\b|\bocr\b")
_BACK = _compiled(
    r"\b(?:it|its|this|that|them|these|those|"
    r"(?:the|my|last|previous) (?:image|picture|photo|drawing))\b"
)
_REFUSES = _compiled(rf"{_START}refuse\b")
_NEXT = _compiled(
    r"^\W*(?:now|and now|then|also|again|another|one more|make it|add|give it|with)\b"
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_COUNT = _compiled(rf"\b({'|'.join(_COUNTS)}|\d{{1,3}})\s+(?:[\w-]+\s+){{0,2}}?{_NOUN}\b")
_FORMAT = _compiled(r"\b(?:as|in)\s+(?:an?\s+)?(png|jpe?g|webp|gif)\b")


def wants_image(text: str) -> bool:
    """Whether a prompt without images wants one generated."""
    if _MAKES.search(text) or _DRAWS.search(text):
        return True
    return not _ASKS.search(text) and _OF.search(text) is not None


def is_question(text: str) -> bool:
    """Whether a prompt with images wants them described; otherwise they are to be edited.

    A polite request for a change (`Could you blur this?`) is an instruction.
    """
    if not text.strip() or _READS_TEXT.search(text) or _ASKS.search(text):
        return True
    polite = _POLITE_REQUEST.match(text)
    return text.rstrip().endswith("?") and not (polite and polite[0].strip())


def wants_refusal(text: str) -> bool:
    """Whether a prompt wants to see a refusal (`Refuse to answer.`)."""
    return _REFUSES.search(text) is not None


def refers_back(text: str) -> bool:
    """Whether a prompt refers to an earlier image (`now with a hat`, `make it red`)."""
    return _NEXT.search(text) is not None or _BACK.search(text) is not None


def wants_new_image(text: str) -> bool:
    """Whether a prompt explicitly wants a new image (`generate an image of ...`)."""
    return _MAKES.search(text) is not None and _OF.search(text) is not None


def count_of(text: str) -> int:
    """How many images a prompt wants, 1 to 8."""
    match = _COUNT.search(text)
    word = match[1].lower() if match else "1"
    return max(1, min(MAX_IMAGES, _COUNTS.get(word) or int(word)))


def format_of(text: str) -> str:
    """The image format a prompt wants: `as a JPEG`; PNG otherwise."""
    match = _FORMAT.search(text)
    name = match[1].upper() if match else "PNG"
    return "JPEG" if name == "JPG" else name

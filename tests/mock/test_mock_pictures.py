import pytest
from mock_help import PUPPY, data_url, flat, image_part, message, pictures, reply
from PIL import Image, ImageChops

from emby_plugins.mock.generate import generate, load_scenes

URL = "https://example.com/dog.jpg"
SCENES = load_scenes()
SENTENCE = "Here is your generated image:"


def test_documented_example():
    """The documented prompt gets the documented sentence and one PNG with the prompt in it."""
    result = reply(PUPPY)
    answer = result["choices"][0]["message"]
    assert answer["content"] == SENTENCE
    (picture,) = pictures(answer)
    assert (picture.format, picture.size) == ("PNG", (256, 256))
    assert picture.text["prompt"] == PUPPY
    assert result["usage"]["completion_tokens"] == 1290
    assert len(answer["images"][0]["image_url"]["url"]) < 100_000


def test_images_have_many_colors():
    """A generated image has many colors and uses the color in its prompt."""
    (red,) = pictures(message("Draw a red boat"))
    (blue,) = pictures(message("Draw a blue boat"))
    assert len(red.getcolors(65536)) > 1000
    strong = [
        sum(count for count, (r, g, _) in p.getcolors(65536) if r > 180 and g < 90)
        for p in (red, blue)
    ]
    assert strong[0] > 4 * strong[1]


@pytest.mark.parametrize(
    "prompt",
    [
        "draw me a cat",
        "Can you paint a house?",
        "Please create a logo for a bakery",
        "A picture of a tree",
        "Could you make two photos of boats?",
        "illustrate a story about a star",
        "Hi! Render a rocket",
    ],
)
def test_prompts_for_an_image(prompt):
    """Every plain request for an image gets one."""
    assert message(prompt)["images"]


@pytest.mark.parametrize(
    "prompt",
    [
        "Hello! What models do you support?",
        "Tell me a joke about cats.",
        "What is a picture of dorian gray about?",
        "Write a function to draw an image of a tree",
        "Describe a picture of a dog",
        "Write me 2 haikus. Only include the haikus.",
        "Create a customer named 'X'",
    ],
)
def test_prompts_for_text(prompt):
    """Questions and texts about images are answered with text, without an `images` key."""
    answer = message(prompt)
    assert "images" not in answer
    assert prompt in answer["content"]


def test_a_vision_model_generates_no_image():
    """A model without image output explains that it generates no images."""
    answer = message(PUPPY, model="emby-mock-vision")
    assert "images" not in answer
    assert "does not make images" in answer["content"]


def test_an_image_model_generates_an_image_for_any_prompt():
    """A model with image output only generates an image for every prompt."""
    assert pictures(message("hello", model="emby-mock-image"))


@pytest.mark.parametrize(
    ("prompt", "config", "count"),
    [
        ("Generate two images of a cat", {}, 2),
        ("Create 3 nice pictures of a dog", {}, 3),
        ("Generate an image of a dog", {"n": 2}, 2),
        ("Generate 99 images of a dog", {}, 8),
    ],
)
def test_several_pictures(prompt, config, count):
    """The requested number of images is generated, up to eight, each different."""
    answer = message(prompt, image_config=config, profile="2026-08")
    assert answer["content"] == f"Here are your {count} generated images:"
    assert len({image["image_url"]["url"] for image in answer["images"]}) == count


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"aspect_ratio": "16:9"}, (341, 192)),
        ({"aspect_ratio": "1:2"}, (181, 362)),
        ({"image_size": "1K"}, (1024, 1024)),
        ({"image_size": "2K", "aspect_ratio": "2:1"}, (2048, 1024)),
    ],
)
def test_image_config(config, size):
    """An aspect ratio keeps the area, and a size sets the long side."""
    assert pictures(message(PUPPY, image_config=config, profile="2025-12"))[0].size == size


@pytest.mark.parametrize(("word", "kind"), [("JPEG", "JPEG"), ("webp", "WEBP"), ("GIF", "GIF")])
def test_other_formats(word, kind):
    """A format in the prompt is used, and the data URL has its media type."""
    answer = message(f"Draw a cat as a {word}")
    assert answer["images"][0]["image_url"]["url"].startswith(f"data:image/{kind.lower()};base64,")
    assert pictures(answer)[0].format == kind


def test_description_states_measured_facts():
    """Format, size, colors, brightness and transparency of an image are measured."""
    half = Image.new("RGBA", (80, 40), (220, 30, 30, 255))
    half.paste((0, 0, 0, 0), (40, 0, 80, 40))
    text = message("What is shown in this image?", data_url(half))["content"]
    assert "PNG of 80x40 pixels, mostly red (100%)" in text
    assert "50% transparent" in text
    assert "dark (" in message("Describe this", flat("black"))["content"]
    assert "bright (" in message("Describe this", flat("white"))["content"]


def test_description_counts_frames():
    """The frames of an animated GIF are counted."""
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    url = data_url(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert "GIF of 8x8 pixels" in (text := message("What is it?", url)["content"])
    assert "3 frames" in text


def test_description_compares():
    """Several images are described one by one and compared."""
    text = message("Compare these two photos.", flat("white"), flat("black", (80, 60)))["content"]
    assert "Image 1 is" in text
    assert "Image 2 is" in text
    assert "100 points darker" in text
    assert "4.00 times the pixels" in text
    assert "0% similar" in text
    assert "100% similar" in message("Compare", flat("red"), flat("red"))["content"]


def test_url_is_not_fetched():
    """An https image is not fetched but replaced by a placeholder generated from its name."""
    text = message("What is shown in this image?", URL)["content"]
    assert "example.com/dog.jpg (not fetched; the mock generated a placeholder" in text


def test_description_knows_its_own_images():
    """A generated image sent back is recognized by the prompt in it."""
    generated = message(PUPPY)["images"][0]["image_url"]["url"]
    assert PUPPY in message("What is this?", generated)["content"]


def test_files():
    """A text file is described by its first line, another file by its size, an image by its
    pixels.
    """

    def describe(data):
        file = {"type": "file", "file": {"filename": "a.x", "file_data": data}}
        return message([{"role": "user", "content": [{"type": "text", "text": "Summarize"}, file]}])

    assert '"first"' in describe("data:text/plain;base64,Zmlyc3QKc2Vjb25k")["content"]
    assert "application/pdf of 3 bytes" in describe("data:application/pdf;base64,QUJD")["content"]
    assert "PNG of 40x30" in describe(flat("red"))["content"]


def edited(instruction, url):
    """Return the single image that an edit returns."""
    answer = message(instruction, url)
    assert answer["content"] == SENTENCE
    (picture,) = pictures(answer)
    return picture


@pytest.mark.parametrize(
    ("instruction", "color", "expected"),
    [
        ("Make it grayscale", "#ff0000", (76, 76, 76)),
        ("invert this", "#ff0000", (0, 255, 255)),
        ("Could you make it black and white?", "#ff0000", (76, 76, 76)),
        ("grayscale, then invert it", "#ff0000", (179, 179, 179)),
    ],
)
def test_color_edits(instruction, color, expected):
    """Color edits are applied in the order of the words."""
    picture = edited(instruction, flat(color))
    assert picture.size == (40, 30)
    assert picture.convert("RGB").getpixel((20, 15)) == expected


@pytest.mark.parametrize(
    ("instruction", "size", "corner"),
    [
        ("rotate it to the right", (30, 40), (29, 0)),
        ("rotate left", (30, 40), (0, 39)),
        ("turn it 180 degrees", (40, 30), (39, 29)),
        ("rotate by 90 degrees counterclockwise", (30, 40), (0, 39)),
        ("flip it horizontally", (40, 30), (39, 0)),
        ("flip the image vertically", (40, 30), (0, 29)),
        ("make it bigger", (80, 60), (0, 0)),
        ("resize to 10x20", (10, 20), (0, 0)),
        ("crop to a square", (30, 30), None),
    ],
)
def test_geometry(instruction, size, corner):
    """Rotating, flipping and resizing move a corner's pixels as expected."""
    image = Image.new("RGB", (40, 30), "white")
    image.paste("black", (0, 0, 4, 4))
    picture = edited(instruction, data_url(image)).convert("L")
    assert picture.size == size
    if corner:
        assert picture.getpixel(corner) < 60
        assert (
            sum(
                picture.getpixel((x * (size[0] - 1), y * (size[1] - 1))) < 60
                for x in (0, 1)
                for y in (0, 1)
            )
            == 1
        )


def test_documented_edit():
    """The documented edit gives an image with a transparent background."""
    image = Image.new("RGB", (60, 60), "white")
    image.paste("red", (20, 20, 40, 40))
    picture = edited("Remove the background and convert this to a 3D style.", data_url(image))
    assert picture.mode == "RGBA"
    assert picture.getpixel((2, 2))[3] == 0
    assert picture.getpixel((30, 30))[3] == 255


@pytest.mark.slow
def test_many_turns_stay_bounded():
    """Repeated rotation does not enlarge an image beyond the limit."""
    picture = edited("rotate 45 degrees, " * 4, flat("red", (1500, 1500)))
    assert 2048 < max(picture.size) < 3000


def test_unknown_edits_tint():
    """An unknown edit tints the image, in the color it names."""
    red, hat = edited("make it red", flat("grey")), edited("now with a hat", flat("grey"))
    r, g, b = red.getpixel((5, 5))
    assert r > g + 30 < r - b + 60
    assert hat.getpixel((5, 5)) != (128, 128, 128)


def test_every_image_is_edited():
    """Each input image is edited, and two variations of one are returned on request."""
    assert len(pictures(message("blur these", flat("red"), flat("blue")))) == 2
    assert len(pictures(message("Create two variations of this", flat("grey")))) == 2


def test_exif_orientation():
    """An image is described and edited according to its EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    url = data_url(Image.new("RGB", (40, 20), "red"), "JPEG", exif=exif)
    assert "JPEG of 20x40" in message("What is this?", url)["content"]
    assert edited("blur it", url).size == (20, 40)


def test_edit_of_an_earlier_image():
    """An image in an assistant's message can be described and edited."""
    first = message(PUPPY)
    shown = {"role": "assistant", "content": first["images"]}
    past = [{"role": "user", "content": PUPPY}, shown]
    (changed,) = pictures(message([*past, {"role": "user", "content": "make it grayscale"}]))
    grey = pictures(first)[0].convert("L").convert("RGB")
    assert ImageChops.difference(changed.convert("RGB"), grey).getbbox() is None
    assert (
        PUPPY in message([*past, {"role": "user", "content": "What is in the image?"}])["content"]
    )
    (new,) = pictures(message([*past, {"role": "user", "content": "Now draw an image of a boat"}]))
    assert new.text["made"] == "generated"


def test_image_only_message():
    """An image without text is described."""
    answer = message([{"role": "user", "content": [image_part(flat("red"))]}])
    assert "PNG of 40x30" in answer["content"]


def test_output_is_valid_input():
    """Generated images of every format are accepted as input."""
    for word in ("png", "jpeg", "webp", "gif"):
        made = message(f"draw a cat as a {word}")["images"][0]["image_url"]["url"]
        assert "256x256" in message("What is it?", made)["content"]


def test_bytes_are_equal():
    """The same prompt gives the same file, and another prompt another."""

    def url(prompt):
        return message(prompt)["images"][0]["image_url"]["url"]

    assert url("draw a cat") == url("draw a cat") != url("draw a cat!")


def test_background_of_many_colors():
    """Removing a background of many colors keeps the subject."""
    generated = message(PUPPY)["images"][0]["image_url"]["url"]
    alpha = edited("remove the background", generated).getchannel("A")
    assert [alpha.getpixel(at) for at in ((5, 5), (128, 20), (250, 150), (5, 250))] == [0] * 4
    kept = alpha.point([0] * 128 + [255] * 128)
    left, top, right, bottom = kept.getbbox()
    assert kept.histogram()[255] / ((right - left) * (bottom - top)) > 0.3
    assert bottom - top > 100


def test_background_of_a_subject_that_fills_the_picture():
    """Removing the background keeps a subject that reaches the border."""
    image = Image.new("RGB", (60, 60), "white")
    image.paste("red", (5, 0, 55, 60))
    picture = edited("remove the background", data_url(image))
    assert [picture.getpixel((x, 30))[3] for x in (0, 30, 59)] == [0, 255, 0]


def test_relief_keeps_flat_areas():
    """A 3D style does not change the colors of flat areas."""
    image = Image.new("RGB", (60, 60), (244, 152, 178))
    image.paste("white", (0, 0, 60, 20))
    assert edited("make it 3D", data_url(image)).convert("RGB").getpixel((30, 45)) == (
        244,
        152,
        178,
    )


def test_caption():
    """The prompt is drawn at the lower edge, in ASCII and shortened to fit."""
    bare, long = generate("\N{SNOWMAN}", (256, 256)), generate("x" * 300, (256, 256))
    light = [sum(p.crop((0, 240, 256, 256)).convert("L").histogram()[200:]) for p in (bare, long)]
    assert light[1] > light[0] + 200
    for prompt in (
        "draw a cat caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "draw a cat",
        "",
        "\0\ud800",
    ):
        assert generate(prompt, (256, 256)).size == (256, 256)


@pytest.mark.parametrize("subject", SCENES.subjects, ids=lambda subject: subject.sprite)
def test_every_subject(subject):
    """Each subject is drawn in the requested color, at any hour."""
    word = subject.words.split("|")[0]
    for hour in ("day", "night"):
        picture = generate(f"a magenta {word}, {hour}", (128, 128))
        colors = picture.getcolors(128 * 128)
        strong = sum(count for count, (r, g, b) in colors if r > g + 50 < b + 20)
        assert strong > 200, hour


@pytest.mark.parametrize("land", SCENES.lands)
@pytest.mark.parametrize("hour", SCENES.hours)
def test_every_landscape(land, hour):
    """Every landscape can be drawn at every hour."""
    scene = f"{SCENES.lands[land].words.split('|')[0]} {SCENES.hours[hour].words.split('|')[0]}"
    assert len(generate(scene, (64, 48)).getcolors(4000)) > 20

"""The main use case, offline and without a key: describe a photograph, generate a picture, edit it.

The same steps run with the `llm` command line and with LangChain, on the mock backend. Run it with
`make demo`.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

OUTPUT = Path("demo-output").resolve()
PROMPT = "Generate an image of a golden retriever puppy playing in a sunny meadow"
EDIT = "Remove the background and convert this to a 3D style."


def photograph() -> Path:
    """A real photograph: Chelsea the cat, CC0, from scikit-image."""
    package = importlib.util.find_spec("skimage")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "data", "chelsea.png")


def on_the_command_line(photo: Path) -> None:
    """Describe a photograph, generate a picture, and edit it in the same conversation."""
    for arguments in (
        ["-m", "emby-mock", "What is shown in this image?", "-a", str(photo)],
        ["-m", "emby-mock", PROMPT, "-o", "output", str(OUTPUT / "puppy.png")],
        ["-c", "make it grayscale", "-o", "output", str(OUTPUT / "gray-puppy.png")],
    ):
        print(f"\n$ llm {shlex.join(arguments)}", flush=True)
        environment = {**os.environ, "LLM_USER_PATH": str(OUTPUT / "llm")}
        subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
        )


def in_langchain(photo: Path) -> None:
    """The same with LangChain, using content blocks for input and output."""
    from langchain_core.messages import HumanMessage

    from emby_plugins import Image
    from langchain_emby import ChatEmby, image_block, images_of

    print("\nThe same from LangChain:")
    chat = ChatEmby(model="emby-mock", base_url="mock:")
    question = {"type": "text", "text": "What is shown in this image?"}
    looked = chat.invoke([HumanMessage([question, image_block(Image.from_path(photo))])])
    print(looked.text)

    history = [HumanMessage(PROMPT)]
    for name, then in (("langchain-puppy", EDIT), ("langchain-3d-puppy", None)):
        painted = chat.invoke(history)
        (picture,) = images_of(painted)
        print(painted.text, picture.save(OUTPUT / name))
        if then:
            history += [painted, HumanMessage(then)]


def main() -> None:
    """Run both, and list the saved pictures."""
    OUTPUT.mkdir(exist_ok=True)
    for old in OUTPUT.glob("*puppy*.png"):
        old.unlink()
    photo = photograph()
    on_the_command_line(photo)
    in_langchain(photo)
    print(f"\nThe photograph: {photo}")
    print("The pictures:")
    for picture in sorted(OUTPUT.glob("*.png")):
        print(f"  {picture}")


if __name__ == "__main__":
    main()

"""The prompts of `llm -t emby:NAME`: what vision models do, by Emby's page "Vision Support".

Text after the template is added to the prompt; `edit` needs it.
"""

from difflib import get_close_matches
from typing import Any

import llm

from llm_emby._model_choice import find_model

TEMPLATES = {
    "describe": "Describe the image: the main subject, the setting, and any text in it. $input",
    "compare": "Compare the images: what they have in common, and then each difference. $input",
    "ocr": (
        "Transcribe all text in the image exactly, with its line breaks. "
        "Reply with the text only, without comments. $input"
    ),
    "variations": (
        "Generate an image that is a variation of this one: "
        "the same subject and style, in a different composition. $input"
    ),
    "edit": "Edit the image as follows and return the edited image. Change nothing else. $input",
}


class _Template(llm.Template):
    """A template that is complete without text: llm would insert "None"."""

    def evaluate(
        self,
        input: str | None,  # noqa: A002 - its name in llm
        params: dict[str, Any] | None = None,
    ) -> tuple[str | None, str | None]:
        if self.name == "emby:edit" and not input:
            raise self.MissingVariables(
                'Nothing to change. Add it: llm -t emby:edit "make it grayscale" -a photo.jpg'
            )
        prompt, system = super().evaluate(input or "", params)
        return (prompt or "").strip(), system


def load_template(name: str) -> llm.Template:
    """The template with that name, for the default model if that is an Emby model, else for Emby's.

    Raises `ValueError` for an unknown name.
    """
    prompt = TEMPLATES.get(name)
    if prompt is None:
        near = get_close_matches(name, TEMPLATES, n=1)
        hint = f"Did you mean emby:{near[0]}? " if near else ""
        known = ", ".join(f"emby:{known}" for known in TEMPLATES)
        raise ValueError(f"There is no template {name!r}. {hint}Available: {known}")
    generates = name in {"variations", "edit"}
    model = find_model(None, "generates_images" if generates else "reads_images")
    return _Template(name=f"emby:{name}", prompt=prompt, model=model.model_id)

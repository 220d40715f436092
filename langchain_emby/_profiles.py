"""LangChain's model profiles, from the list of known models."""

from typing import cast

from langchain_core.language_models import ModelProfile

from emby_plugins import MOCK_MODELS, ModelCard, find_model, known_models, plugin_models


def find_profile(model: str) -> ModelProfile | None:
    """The profile of a known model, by its id or `provider/id`, or None."""
    card = find_model(model, [*known_models(), *MOCK_MODELS, *plugin_models()])
    return None if card is None else to_profile(card)


def to_profile(card: ModelCard) -> ModelProfile:
    """A model card as LangChain's profile; unknown values are left out."""
    fields = {
        "name": card.name,
        "text_inputs": True,
        "text_outputs": card.text_output is not False,
        "image_inputs": card.vision,
        "image_url_inputs": card.vision,
        "image_tool_message": card.vision,
        "image_outputs": card.image_output,
        "reasoning_output": card.reasoning,
        "tool_calling": card.tools,
        "tool_choice": card.tools,
        "tool_call_streaming": card.tools,
        "structured_output": card.structured_output,
        "max_input_tokens": card.context_length,
        "max_output_tokens": card.max_output,
    }
    # LangChain warns about keys that its installed version does not know yet.
    known = ModelProfile.__annotations__
    return cast("ModelProfile", {k: v for k, v in fields.items() if v is not None and k in known})

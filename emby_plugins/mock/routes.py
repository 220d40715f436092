"""Routes other than chat and models: what each gateway state answers there."""

from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.models import find_model
from emby_plugins.mock.profiles import Profile


def not_found(method: str, path: str, model: str, profile: Profile) -> str:
    """The plain text of a 404. Raises ApiError where a state has the route and refuses the model.

    The mock speaks neither the gateways' /messages nor the newest one's other APIs.
    """
    if method != "POST":
        return "404 Not Found"
    if path == "/responses" and profile.name == "2025-12":
        return "The Responses API is currently not supported"
    if path == "/embeddings" and profile.name == "2026-08":
        message = f"Embedding model not found: {model[:200]}"
        raise ApiError(400, message, param="model", code="model_not_found")
    if path == "/images/generations" and profile.name == "2026-08":
        found = find_model(model, profile, scripted=False).model
        if not found.only_makes_images:
            message = f"Model {found.id} is a chat model and cannot be used with this endpoint."
            raise ApiError(400, message, early=True)
    return "404 Not Found"

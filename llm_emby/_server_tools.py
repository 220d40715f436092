"""Tools that the gateway runs itself, for `llm -T`."""

from typing import Any

import llm


class WebSearch(llm.ServerSideTool):  # type: ignore[no-untyped-call]
    """Search the web, with gateways from 2026 on; earlier ones refuse it free of charge."""

    name = "web_search"
    plugin = "emby"

    def __init__(
        self,
        max_uses: int | None = None,
        allowed_domains: list[str] | None = None,
        blocked_domains: list[str] | None = None,
        search_context_size: str | None = None,
        user_location: dict[str, str] | None = None,
    ) -> None:
        settings = {
            "max_uses": max_uses,
            "allowed_domains": allowed_domains,
            "blocked_domains": blocked_domains,
            "search_context_size": search_context_size,
            "user_location": user_location,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        super().__init__({"type": self.name, **given})

    def tool_spec(self, model: Any) -> dict[str, Any]:
        """The tool in the form of the 2026-08 request schema."""
        return dict(super().tool_spec(model))

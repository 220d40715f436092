"""Parse `annotations`, in the nested form of OpenAI's chat API and in the flat one."""

from emby_plugins._chat import Citation

_MAX_ODD = 200


def parse_citation(annotation: object) -> Citation:
    """A citation; an annotation of another kind is kept as a title.

    Nested: `{"type": "url_citation", "url_citation": {"url", ...}}`, as every state passes it on
    (case `annotations-from-provider`). Flat: the same fields beside `type`, as OpenAI's Responses
    API has them.
    """
    nested = annotation.get("url_citation") if isinstance(annotation, dict) else None
    cited = nested if isinstance(nested, dict) else annotation
    if not isinstance(cited, dict) or (cited is annotation and "url" not in cited):
        return Citation(url="", title=str(annotation)[:_MAX_ODD])
    return Citation(
        url=str(cited.get("url") or ""),
        title=str(cited.get("title") or ""),
        start_index=_index(cited.get("start_index")),
        end_index=_index(cited.get("end_index")),
        cited_text=str(cited.get("cited_text") or cited.get("content") or ""),
    )


def _index(value: object) -> int | None:
    is_index = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_index else None  # type: ignore[return-value]

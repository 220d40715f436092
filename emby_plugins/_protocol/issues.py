"""A gateway's schema refusal (a `ZodError`), reported as path and reason.

The reason is often nested: the outer issue is "Invalid input", and below it each form that the
schema would have taken has its own issues (2025-11: tool-round-content-null, file-part,
look-detail-enormous). Only the form that was meant is worth telling.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

_MAX_DEPTH = 16
_MAX_TOLD = 5
_DISCRIMINATORS = {"invalid_literal", "invalid_enum_value", "invalid_value"}


def summarize(issues: list[object]) -> tuple[str, str]:
    """What is wrong, as one line of at most five faults, and the path of the first of them."""
    told: list[str] = []
    first = ""
    for issue in issues[:_MAX_TOLD]:
        if not isinstance(issue, dict):
            told.append(str(issue))
            continue
        for path, same in groupby(_leaves(issue, _MAX_DEPTH), key=_path):
            reason = _reason(list(same))
            told.append(f"{path}: {reason}" if path else reason)
            first = first or path
    return "; ".join(told[:_MAX_TOLD]), first


def _leaves(issue: Mapping[str, Any], depth: int) -> list[Mapping[str, Any]]:
    """The issues with the reason: the issue itself, or those of the form that came closest."""
    forms = list(_forms(issue))
    if not forms or not depth:
        return [issue]
    own = len(_keys(issue))
    meant = [form for form in forms if not any(_is_other_form(i, own) for i in form)]
    if meant:
        closest = min(meant, key=len)
        return [leaf for inner in closest for leaf in _leaves(inner, depth - 1)]
    # None of them was meant: report what each of them begins with.
    heads = [inner for form in forms for inner in form if _is_other_form(inner, own)]
    deepest = max(len(_keys(head)) for head in heads)
    return [head for head in heads if len(_keys(head)) == deepest]


def _forms(issue: Mapping[str, Any]) -> Iterator[list[Mapping[str, Any]]]:
    """The issues of each form of a union: `unionErrors[].issues` of zod 3, `errors` of zod 4."""
    forms = issue.get("unionErrors") or issue.get("errors")
    for form in forms if isinstance(forms, list) else ():
        inner = form.get("issues") if isinstance(form, dict) else form
        known: list[Mapping[str, Any]] = (
            [i for i in inner if isinstance(i, dict)] if isinstance(inner, list) else []
        )
        if known:
            yield known


def _is_other_form(issue: Mapping[str, Any], own: int) -> bool:
    """Whether a form of the union at depth `own` is out of the question: its kind, or its tag."""
    beyond = len(_keys(issue)) - own
    if issue.get("code") in _DISCRIMINATORS:
        return beyond <= 1
    return issue.get("code") == "invalid_type" and beyond <= 0


def _reason(issues: list[Mapping[str, Any]]) -> str:
    """What is wrong at one path, in the gateway's words; several forms in one sentence."""
    if len(issues) == 1:
        return str(issues[0].get("message") or "invalid")
    expected = list(dict.fromkeys(word for issue in issues for word in _expected(issue)))
    if not expected:
        return "; ".join(dict.fromkeys(str(issue.get("message")) for issue in issues))
    # A literal's issue holds what was received, a type's only the type of it.
    literal = next((i for i in issues if i.get("code") == "invalid_literal"), None)
    if literal is not None:
        received = json.dumps(literal["received"]) if "received" in literal else "nothing"
    else:
        received = str(issues[0].get("received") or "something else")
        received = "nothing" if received == "undefined" else received
    *others, last = expected
    choice = f"{', '.join(others)} or {last}" if others else last
    return f"Expected {choice}, received {received}"


def _expected(issue: Mapping[str, Any]) -> Iterator[str]:
    options = issue.get("options") or issue.get("values")
    if isinstance(options, list):
        yield from map(json.dumps, options)
    elif "expected" in issue:
        is_literal = issue.get("code") == "invalid_literal"
        yield json.dumps(issue["expected"]) if is_literal else str(issue["expected"])


def _keys(issue: Mapping[str, Any]) -> list[object]:
    path = issue.get("path")
    return path if isinstance(path, list) else []


def _path(issue: Mapping[str, Any]) -> str:
    return ".".join(map(str, _keys(issue)))

"""Write `peer_messages.json`: replies in the form of other providers' packages.

Run with langchain-openai, langchain-anthropic and langchain-google-genai installed, last with
1.7.4, 1.7.10 and 4.4.3. Their converters get responses in the form of the providers' APIs.
"""

import json
from pathlib import Path
from typing import Any

import pybase64
from anthropic.types import Message as AnthropicMessage
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, message_to_dict
from langchain_google_genai.chat_models import GenerateContentResponse, _response_to_result
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import _construct_lc_result_from_responses_api
from lc_support import PNG
from openai.types.responses import Response

PICTURE = pybase64.b64encode_as_string(PNG)
ARGS = {"at": "dog"}
JSON_ARGS = json.dumps(ARGS)
TEXT = "Here is a dog."

OPENAI_ITEMS: list[dict[str, Any]] = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hmm."}],
        "encrypted_content": "gAAA",
    },
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "dog"},
    },
    {
        "type": "file_search_call",
        "id": "fs_1",
        "status": "completed",
        "queries": ["dog"],
        "results": None,
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "1 + 1",
        "container_id": "c",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "s",
        "tools": [{"name": "t", "input_schema": {}}],
    },
    {
        "type": "mcp_call",
        "id": "mcp_1",
        "server_label": "s",
        "name": "t",
        "arguments": "{}",
        "output": "2",
    },
    {
        "type": "mcp_approval_request",
        "id": "mcpr_1",
        "server_label": "s",
        "name": "t",
        "arguments": "{}",
    },
    {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "call_c",
        "status": "completed",
        "action": {"type": "screenshot"},
        "pending_safety_checks": [],
    },
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PICTURE},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [
            {
                "type": "output_text",
                "text": TEXT,
                "annotations": [
                    {
                        "type": "url_citation",
                        "url": "https://e.x",
                        "title": "E",
                        "start_index": 0,
                        "end_index": 4,
                    }
                ],
            }
        ],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "look",
        "arguments": JSON_ARGS,
        "status": "completed",
    },
    {
        "type": "custom_tool_call",
        "id": "ctc_1",
        "call_id": "call_2",
        "name": "run",
        "input": "print(1)",
    },
]
ANTHROPIC_BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Hmm.", "signature": "EqQB"},
    {"type": "redacted_thinking", "data": "EmwK"},
    {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "dog"},
        "caller": {"type": "direct"},
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "caller": {"type": "direct"},
        "content": [
            {
                "type": "web_search_result",
                "url": "https://e.x",
                "title": "E",
                "encrypted_content": "x",
                "page_age": None,
            }
        ],
    },
    {
        "type": "text",
        "text": TEXT,
        "citations": [
            {
                "type": "web_search_result_location",
                "url": "https://e.x",
                "title": "E",
                "encrypted_index": "x",
                "cited_text": "dog",
            }
        ],
    },
    {
        "type": "tool_use",
        "id": "call_1",
        "name": "look",
        "input": ARGS,
        "caller": {"type": "direct"},
    },
]
GEMINI_PARTS: list[dict[str, Any]] = [
    {"text": "Hmm.", "thought": True},
    {"executable_code": {"code": "1 + 1", "language": "PYTHON"}},
    {"code_execution_result": {"output": "2", "outcome": "OUTCOME_OK"}},
    {"text": TEXT, "thought_signature": b"signed"},
    {"inline_data": {"mime_type": "image/png", "data": PNG}},
    {"function_call": {"name": "look", "args": ARGS}, "thought_signature": b"signed"},
]


def by_responses(version: str) -> AIMessage:
    """Return a reply of OpenAI's Responses API."""
    response = Response.model_validate(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": "gpt",
            "output": OPENAI_ITEMS,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
    )
    made = _construct_lc_result_from_responses_api(response, output_version=version)
    return _in_version(made.generations[0].message, version)


def by_chat_completions(version: str) -> AIMessage:
    """Return a reply with audio of OpenAI's chat completions."""
    audio = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1, "transcript": TEXT}
    function = {"name": "look", "arguments": JSON_ARGS}
    message = {
        "role": "assistant",
        "content": None,
        "audio": audio,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    response = {"id": "c", "model": "gpt", "object": "chat.completion", "choices": [choice]}
    made = ChatOpenAI(api_key="k")._create_chat_result({**response, "created": 1, "usage": None})
    return _in_version(made.generations[0].message, version)


def by_anthropic(version: str) -> AIMessage:
    """Return a reply of Anthropic's Messages API."""
    response = AnthropicMessage.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": ANTHROPIC_BLOCKS,
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )
    made = ChatAnthropic(model="claude", api_key="k")._format_output(response)
    return _in_version(made.generations[0].message, version)


def by_gemini(version: str) -> AIMessage:
    """Return a reply of Gemini's API."""
    content = {"role": "model", "parts": GEMINI_PARTS}
    response = GenerateContentResponse.model_validate(
        {"candidates": [{"content": content, "finish_reason": "STOP"}], "model_version": "gemini"}
    )
    return _in_version(_response_to_result(response).generations[0].message, version)


def _in_version(message: Any, version: str) -> AIMessage:
    if version != "v1":
        return message
    from langchain_core.language_models._utils import _update_message_content_to_blocks

    return _update_message_content_to_blocks(message, "v1")


if __name__ == "__main__":
    made = {
        f"{make.__name__[3:]}-{version}": message_to_dict(make(version))
        for make in (by_responses, by_chat_completions, by_anthropic, by_gemini)
        for version in ("v0", "v1", "responses/v1")
        if version != "responses/v1" or make is by_responses
    }
    text = json.dumps(made, indent=1, ensure_ascii=False, default=lambda data: data.decode())
    Path(__file__).with_name("peer_messages.json").write_text(text + "\n", "utf-8")

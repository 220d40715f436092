"""Emby's wire protocol, sans I/O: requests to bytes, and bytes to replies.

    request        ChatRequest -> headers and body
    body           bytes -> bytes, decompressed and bounded
    image_decoder  bytes -> bytes with placeholders for the images, and the decoded images
    sse            bytes -> server-sent events
    schema         documented JSON -> typed structs of the fields in use
    lenient        any other JSON -> as much as is readable; loose_json, image_entry
    accumulator    those fields -> stream events and a ChatReply
    stop_sequences text cut at stop sequences; raw, the JSON kept on request
    usage          token counts and cost
    reader         the body of a response -> stream events, a ChatReply or an error
    errors         an error response -> an `EmbyError`; issues, refusals
    models         the model list -> ModelCards
    limits         maximum sizes
    backend        the request and response values of in-process backends

Nothing here opens a socket, imports an HTTP library or reads a clock.
"""

"""Emby's wire contract, sans I/O: values in and bytes out, bytes in and values out.

    request        ChatRequest -> headers and body
    body           bytes -> bytes, decompressed and bounded
    image_decoder  bytes -> bytes in which placeholders stand for the images, and the images
    sse            bytes -> server-sent events
    wire           JSON of the documented form -> the few fields that are read
    lenient        any other JSON -> as much as can be read; loose_json, image_entry
    assembly       those fields -> stream events and a ChatReply
    usage          what a call used
    reading        the body of a response -> the same, with every failure named
    failures       an error response -> an error of our tree; issues, refusals
    listing        the model list -> ModelCards
    limits         how much is accepted
    backend        the values a backend in this process is asked and answers with

Nothing here opens a socket, imports an HTTP library or reads a clock.
"""

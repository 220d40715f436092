"""Emby's wire contract, sans I/O: values in and bytes out, bytes in and values out.

    request   ChatRequest -> headers and body
    sse       bytes -> server-sent events
    wire      JSON -> the few fields that are read
    assembly  those fields -> stream events and a ChatReply
    reading   the body of a response -> the same, with every failure named
    failures  an error response -> an error of our tree
    listing   the model list -> ModelCards
    limits    how much is accepted
    backend   the values a backend in this process is asked and answers with

Nothing here opens a socket, imports an HTTP library or reads a clock.
"""

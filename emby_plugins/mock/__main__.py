"""`python -m emby_plugins.mock`: the mock as a server, until Ctrl-C or SIGTERM."""

import argparse
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from emby_plugins.mock.backend import MockBackend
from emby_plugins.mock.profiles import EMBY, PROFILES
from emby_plugins.mock.server import MockServer

_WIDTH = 80


def main() -> None:
    """Serve until interrupted. Exits with 2 for bad options, 1 if the port is taken."""
    options = _options()
    backend = MockBackend(options.key, profile=PROFILES[options.profile], pause=options.delay)
    log = partial(print, file=sys.stderr, flush=True)
    try:
        server = MockServer(backend, host=options.host, port=options.port, log=log)
    except ValueError as error:
        sys.exit(f"Error: {error}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with server:
            _greet(server, options.profile, has_key=options.key is not None)
            threading.Event().wait()
    except KeyboardInterrupt:
        _say(f"Stopped after {server.served} requests.")
    except OSError as error:
        sys.exit(f"Error: port {options.port} can't be used: {error.strerror}.")


def _options() -> argparse.Namespace:
    called = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog="python -m emby_plugins.mock" if called == "__main__.py" else called,
        description="A mock of Emby, served on this machine for any OpenAI-compatible client.",
        formatter_class=partial(argparse.HelpFormatter, width=_WIDTH),
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default=EMBY.name,
        help="the dialect: what Emby documents (emby), or a gateway like it at that time",
    )
    parser.add_argument("--key", help="the API key that clients must send; none by default")
    parser.add_argument(
        "--delay", type=_seconds, default=0.0, metavar="SECONDS", help="between the chunks"
    )
    return parser.parse_args()


def _port(text: str) -> int:
    return int(_at_most(65535, int(text)))


def _seconds(text: str) -> float:
    return _at_most(3600, float(text), " seconds")


def _at_most(limit: int, number: float, unit: str = "") -> float:
    if not 0 <= number <= limit:
        raise argparse.ArgumentTypeError(f"expected 0 to {limit}{unit}")
    return number


def _greet(server: MockServer, profile: str, *, has_key: bool) -> None:
    key = ' -H "Authorization: Bearer $EMBY_API_KEY"' if has_key else ""
    body = '{"model": "qwen2.5-vision", "messages": [{"role": "user", "content": "Hello!"}]}'
    _say(
        f"The mock of Emby, profile {profile}, answers at {server.base_url}; Ctrl-C stops it.\n"
        f"  export EMBY_BASE_URL={server.base_url}\n"
        f'  curl "$EMBY_BASE_URL/chat/completions"{key}'
        f" -H 'Content-Type: application/json' -d '{body}'"
    )


def _say(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Its reader is gone. Python would flush once again at the end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()

"""A cached view of Flask-Caching with SimpleCache, served by waitress for a load generator. See README.md."""

import argparse
from importlib.metadata import version

from flask import Flask
from flask_caching import Cache
from waitress import create_server

import measure

PAGE_BYTES = 10_240
PAGE = measure.body(PAGE_BYTES)

app = Flask("peer")
cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 3600})


@app.route("/cached")
@cache.cached(timeout=3600)
def cached():
    """Found in the cache in all requests but the first."""
    return PAGE


@app.route("/bare")
def bare():
    """The same bytes without a cache."""
    return PAGE


def sizes_hold():
    """Both pages are their bytes, from the second request on as in the first."""
    client = app.test_client()
    for path in ("/cached", "/cached", "/bare"):
        assert client.get(path).get_data(as_text=True) == PAGE, path


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    sizes_hold()
    server = create_server(app, host="127.0.0.1", port=given.port, threads=given.threads)
    names = ", ".join(f"{name} {version(name)}" for name in ("Flask-Caching", "Flask", "waitress"))
    # The line that a program which starts this one waits for.
    print(f"http://127.0.0.1:{server.effective_port}/cached ({names}, {given.threads} threads)", flush=True)
    server.run()


if __name__ == "__main__":
    main()

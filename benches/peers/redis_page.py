"""W2 on one Redis server: Flask-Caching's cache block with RedisCache beside fragcache's. See README.md."""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import sleep

from flask import Flask
from flask_caching import Cache

import measure

ROOT = Path(__file__).resolve().parents[2]
GOAL = 20


@contextmanager
def server():
    """A Redis server on loopback that keeps nothing on disk; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = os.environ.get("FRAGCACHE_REDIS_SERVER", "redis-server")
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL)
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                assert process.poll() is None, "redis-server does not start"
                sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()


def peer(port):
    """Flask-Caching's page on that server."""
    app = Flask("peer")
    Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_HOST": "127.0.0.1",
                       "CACHE_REDIS_PORT": port})
    start, body, end, fragments = measure.pages()["W2"]
    block = '{% cache 300, "row", row.id %}{{ ' + body + "|safe }}{% endcache %}"
    page = app.jinja_env.from_string(start + block + end)
    context = measure.context()

    def render():
        return page.render(context)

    for _ in range(2):
        assert len(render()) == fragments * measure.W2_BYTES
    return render


def samples(render):
    """Nanoseconds of one page, a number for each sample."""
    rounds = measure.rounds_for(render)
    return [measure.sample(render, rounds) for _ in range(measure.SAMPLES)]


def bench():
    """The program that renders fragcache's pages, built beforehand."""
    command = ["cargo", "bench", "-p", "fragcache-benches", "--bench", "far_pages", "--no-run"]
    built = subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.PIPE, text=True)
    program = re.search(r"Executable .*\((.*far_pages-.*)\)", built.stderr).group(1)
    return ROOT / program


def main():
    program = bench()
    with server() as port:
        render = peer(port)
        before = samples(render)
        ours = subprocess.run([program, f"redis://127.0.0.1:{port}"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        peers = before + samples(render)
    theirs = statistics.median(peers)
    names = ", ".join(f"{name} {version(name)}" for name in ("Flask-Caching", "Jinja2", "redis"))
    print(f"CPython {sys.version.split()[0]}, {names}: {theirs / 1000:,.0f} µs a page "
          f"({min(peers) / 1000:,.0f}–{max(peers) / 1000:,.0f}), 100 round trips\n")
    print(f"| fragcache | round trips | µs a page | times less | goal | |\n|---|---|---|---|---|---|")
    for line in ours.splitlines():
        what, trips, nanos = line.split("\t")
        ratio = theirs / float(nanos)
        print(f"| {what} | {trips} | {float(nanos) / 1000:,.0f} | {ratio:.0f} | {GOAL} "
              f"| {'met' if ratio >= GOAL else 'not met'} |")


main()

"""Flask-Caching's cache block with SimpleCache, under Jinja2. See README.md."""

from importlib.metadata import version

from flask import Flask
from flask_caching import Cache

import measure

TAGS = {"W1": '{% cache 300, "page" %}', "W2": '{% cache 300, "row", row.id %}'}


def build(name):
    start, body, end, _fragments = measure.pages()[name]
    block = TAGS[name] + "{{ %s|safe }}{%% endcache %%}" % body
    context = measure.context()
    page = app.jinja_env.from_string(start + block + end)
    floor = app.jinja_env.from_string(start + end)
    return lambda: page.render(context), lambda: floor.render(context)


app = Flask("peer")
Cache(app, config={"CACHE_TYPE": "SimpleCache"})
measure.report("Flask-Caching, in memory",
               {name: version(name) for name in ("Flask-Caching", "Jinja2")}, build)

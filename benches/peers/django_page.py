"""Django's cache block with its local-memory cache. See README.md."""

import django
from django.conf import settings
from django.template import Context, Engine

import measure

TAGS = {"W1": '{% cache 300 "page" %}', "W2": '{% cache 300 "row" row.id %}'}


def build(name):
    start, body, end, _fragments = measure.pages()[name]
    block = TAGS[name] + "{{ %s|safe }}{%% endcache %%}" % body
    context = measure.context()
    page = engine.from_string("{% load cache %}" + start + block + end)
    floor = engine.from_string("{% load cache %}" + start + end)
    return lambda: page.render(Context(context)), lambda: floor.render(Context(context))


settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
django.setup()
engine = Engine(libraries={"cache": "django.templatetags.cache"})
measure.report("Django, in memory", {"Django": django.get_version()}, build)

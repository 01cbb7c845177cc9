"""What the two pages are, and how each peer is timed. Shared by the peers' programs.

W1 is a page with one fragment of 4 KiB, W2 a page with 100 fragments of 315 bytes in
a loop, keyed "row" and the row's id, all of them hits. What is reported is the time of
the page less the time of its floor, divided by the number of fragments. The floor is
the same page with the cache block replaced by nothing: an empty loop, or no block.
"""

import json
import statistics
import sys
from time import perf_counter_ns

SAMPLES = 27
ROWS = 100
W1_BYTES = 4096
W2_BYTES = 315
SAMPLE_NS = 20_000_000


def body(size):
    """Deterministic markup of this many bytes, without a character that is escaped."""
    line = '<li class="product"><b>Ink, blue, 50 ml</b> <i>7.49</i></li>\n'
    return (line * (size // len(line) + 1))[:size]


def context():
    """The ids are strings, since Flask-Caching takes no other part."""
    return {"rows": [{"id": str(number)} for number in range(ROWS)],
            "big": body(W1_BYTES), "small": body(W2_BYTES)}


def pages():
    """The pages before a peer adds its cache block: name to (open, body, close, fragments)."""
    return {"W1": ("", "big", "", 1),
            "W2": ("{% for row in rows %}", "small", "{% endfor %}", ROWS)}


def sizes_hold(name, page, floor):
    """The page is its fragments' bytes and nothing else; the floor is empty."""
    expected = {"W1": W1_BYTES, "W2": ROWS * W2_BYTES}[name]
    assert len(page().encode()) == expected and floor() == "", name


def rounds_for(render):
    """How many renders fill one sample."""
    start = perf_counter_ns()
    for _ in range(20):
        render()
    return max(20, SAMPLE_NS * 20 // (perf_counter_ns() - start))


def sample(render, rounds):
    """Nanoseconds of one render, over this many."""
    start = perf_counter_ns()
    for _ in range(rounds):
        render()
    return (perf_counter_ns() - start) / rounds


def compare(name, page, floor, fragments):
    """Alternate samples of page and floor; the difference per fragment."""
    sizes_hold(name, page, floor)
    page_rounds, floor_rounds = rounds_for(page), rounds_for(floor)
    differences = [(sample(page, page_rounds) - sample(floor, floor_rounds)) / fragments
                   for _ in range(SAMPLES)]
    return {"page": name, "fragments": fragments, "samples": SAMPLES,
            "ns_per_fragment": round(statistics.median(differences)),
            "min": round(min(differences)), "max": round(max(differences))}


def report(peer, versions, build):
    """Measure both pages. `build(name)` gives the two functions that render page and floor."""
    results = [compare(name, *build(name), fragments)
               for name, (_open, _body, _close, fragments) in pages().items()]
    if "--json" in sys.argv[1:]:
        print(json.dumps({"peer": peer, "versions": versions, "results": results}, indent=2))
        return
    print(peer + ", " + ", ".join(f"{name} {number}" for name, number in versions.items()))
    print("| page | ns per fragment | min–max |\n|---|---|---|")
    for result in results:
        print(f"| {result['page']} | {result['ns_per_fragment']:,} | {result['min']:,}–{result['max']:,} |")

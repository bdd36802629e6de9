"""Do two renderings hold the same elements and the same words? JSON arrays of documents, or one .html file each.

Attributes and white space are passed over: engines differ in both, and ours takes away what a browser would run.
"""
import html.parser
import json
import sys


class Outline(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(f"<{tag}>")

    def handle_data(self, data):
        self.seen.extend(data.split())


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [file.read()] if path.endswith(".html") else json.load(file)


ours, theirs = documents(sys.argv[1]), documents(sys.argv[2])
if len(ours) != len(theirs) or not ours:
    sys.exit(f"{len(ours)} documents and {len(theirs)}")
for number, (a, b) in enumerate(zip(ours, theirs)):
    a, b = Outline(a).seen, Outline(b).seen
    if a != b:
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        sys.exit(f"document {number} differs: {a[max(0, at - 5):at + 5]} and {b[max(0, at - 5):at + 5]}")

"""Do two files hold the same records in the same order? Formats go by the names' extensions.

With "retyped" the second may have guessed types: numbers are compared as numbers, null and a missing value are empty.
"""
import csv
import itertools
import json
import sys


def records(path):
    with open(path, encoding="utf-8", newline="") as file:
        if path.endswith(".csv"):
            yield from csv.DictReader(file)
        elif path.endswith(".jsonl"):
            yield from map(json.loads, filter(str.strip, file.read().split("\n")))
        else:
            yield from json.load(file)


def same_value(ours, theirs):
    if ours == theirs or (theirs is None and ours == ""):
        return True
    if isinstance(theirs, bool):
        return ours.lower() in ("true", "1", "yes") if theirs else ours.lower() in ("false", "0", "no")
    return isinstance(theirs, (int, float)) and float(ours) == float(theirs)


def same(ours, theirs):
    if sys.argv[1] == "exact" or ours is None or theirs is None:
        return ours == theirs and list(ours) == list(theirs)
    return list(ours) == list(theirs) and all(same_value(ours[name], theirs[name]) for name in ours)


count = 0
for count, (ours, theirs) in enumerate(itertools.zip_longest(records(sys.argv[2]), records(sys.argv[3])), 1):
    if not same(ours, theirs):
        sys.exit(f"record {count} differs:\n{ours}\n{theirs}")
if count == 0:
    sys.exit("there is no record")

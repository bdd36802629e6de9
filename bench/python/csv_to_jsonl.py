"""CSV to JSON Lines as one writes it: csv and json of the standard library."""
import csv
import json
import sys

with open(sys.argv[1], encoding="utf-8", newline="") as rows, open(sys.argv[2], "w", encoding="utf-8") as out:
    for row in csv.DictReader(rows):
        out.write(json.dumps(row, ensure_ascii=False) + "\n")

"""Every document with python-markdown, against the clock."""
import json
import sys
import time

import markdown

with open(sys.argv[1], encoding="utf-8") as file:
    documents = json.load(file)
wall, cpu = time.perf_counter(), time.process_time()
results = [markdown.markdown(text, extensions=["tables", "fenced_code"]) for text in documents]
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(results, file)

"""One table format to another with polars; every value stays text. Formats go by the names' extensions."""
import sys

import polars

source, target = sys.argv[1:3]
if source.endswith(".csv"):
    table = polars.scan_csv(source, infer_schema=False, empty_string_is_null=False)
else:
    table = polars.scan_ndjson(source)
if target.endswith(".jsonl"):
    table.sink_ndjson(target)
elif target.endswith(".csv"):
    table.sink_csv(target)
else:
    table.collect().write_json(target)

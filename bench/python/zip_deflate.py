"""The files of a manifest into a zip, deflate 6, as one writes it with the standard library."""
import json
import os
import sys
import zipfile

folder = os.path.dirname(sys.argv[1])
with open(sys.argv[1], encoding="utf-8") as file:
    files = json.load(file)["files"]
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
    for entry in files:
        archive.write(os.path.join(folder, entry["source"]), entry["destination"])

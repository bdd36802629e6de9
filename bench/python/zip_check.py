"""Does an archive hold what its manifest names, byte for byte? Read with the standard library."""
import json
import os
import sys
import zipfile

manifest, path = sys.argv[1:3]
with open(manifest, encoding="utf-8") as file:
    expected = {entry["destination"]: entry["source"] for entry in json.load(file)["files"]}
with zipfile.ZipFile(path) as archive:
    broken = archive.testzip()
    if broken:
        sys.exit(f"{broken} is broken")
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if sorted(names) != sorted(expected):
        sys.exit(f"{len(names)} names, {len(expected)} expected")
    for name in names:
        with archive.open(name) as packed, open(os.path.join(os.path.dirname(manifest), expected[name]), "rb") as plain:
            while True:
                a, b = packed.read(1 << 20), plain.read(1 << 20)
                if a != b:
                    sys.exit(f"{name} differs")
                if not a:
                    break

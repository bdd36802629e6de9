#!/bin/sh
# Fills a folder with the peers that no Debian package brings: qsv, and a Python with polars, python-markdown and
# vaderSentiment. Without an argument it is where filemill-bench looks: target/peers. Building qsv takes minutes.
set -eu
target=${CARGO_TARGET_DIR:-target}
folder=${1:-$target/peers}
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet "polars==2.1.*" "markdown==3.11.*" "vaderSentiment==3.3.*"

# The published qsv 16.1.0 calls a method that only its author's copy of a library has, in a command that is not
# measured (qsv json); without that call it builds. `cargo info` brings its source.
cargo info --quiet qsv@16.1.0 >"$folder/qsv.txt"
cp -R "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/qsv-16.1.0 "$folder/qsv"
sed -i '/\.preserve_key_order(true)/d' "$folder/qsv/src/cmd/json.rs"
# optimised as this project is; the edition without network and plug-ins, whose commands are the same
CARGO_TARGET_DIR="$target/peers-build" CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=8 \
    cargo install --locked --path "$folder/qsv" --features lite --bin qsvlite --root "$folder"
rm -r "$folder/qsv"

# traces — the recorded page traces, unpacked once into $folder: their names in ${traces[@]}. Sourced, never run.
# shellcheck shell=bash disable=SC2034
folder=$BUILD/bench/compress.out
mkdir -p "$folder"
traces=()
for packed in tests/bench/traces/*.tr.xz; do
    name=$(basename "$packed" .xz)
    [ -e "$folder/$name" ] || { xz -dc "$packed" >"$folder/$name.new" && mv "$folder/$name.new" "$folder/$name"; }
    traces+=("$folder/$name")
done

#!/bin/bash
# Makes an archive with which srwatchd is installed on a box that has no network. To be run on a connected machine, in a
# checkout; the box needs the same kind of processor and the same Python as the archive was made for, nothing else.
#
#   packaging/make-archive.sh [--python 3.11] [--machine x86_64|aarch64] [--extra onnx] [--output DIR]
#
# Defaults: this machine's Python and processor, dist/. The last line of the output is the archive's name. In it: a wheelhouse
# (srwatchd, everything it and its console need, pip), install.sh, SHA256SUMS. Every file that is downloaded is one of those in
# runtime.lock, build.lock and an extra's list, by hash. An extra that is put in is installed, too.
set -euo pipefail
export PIP_DISABLE_PIP_VERSION_CHECK=1
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; }

top=$(dirname "$(readlink -f "$0")")/..
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
machine=$(uname -m)
extra=
output=$top/dist
while (($#)); do
    case $1 in
    --python) python=${2:?}; shift ;;
    --machine) machine=${2:?}; shift ;;
    --extra) extra=${2:?}; shift ;;
    --output) output=${2:?}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
case $machine in
x86_64) platforms=(manylinux_2_17_x86_64 manylinux2014_x86_64 manylinux_2_27_x86_64 manylinux_2_28_x86_64) ;;
aarch64) platforms=(manylinux_2_17_aarch64 manylinux2014_aarch64 manylinux_2_28_aarch64 manylinux_2_31_aarch64 manylinux_2_35_aarch64) ;;
*) echo "make-archive: no wheels are known for a machine called $machine" >&2; exit 2 ;;
esac

work=$(mktemp -d "${TMPDIR:-/var/tmp}/srwatchd-archive.XXXXXX")
trap 'rm -rf "$work"' EXIT
wheels=$work/wheelhouse
mkdir "$wheels"
cd "$top"
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" --quiet)

"${pip[@]}" install --require-hashes --requirement packaging/build.lock

# srwatchd itself, and pyvips, which is published as a source package only; both wheels are pure Python.
one() { sed -n "/^$2==/,/[^\\\\]\$/p" "packaging/$1.lock"; } # one LIST PACKAGE: what the list says of it
one runtime pyvips >"$work/pyvips"
one build pip >"$work/pip"
grep -vxFf "$work/pyvips" packaging/runtime.lock >"$work/wheels"
build=(wheel --no-build-isolation --no-deps --wheel-dir "$wheels")
"${pip[@]}" "${build[@]}" .
"${pip[@]}" "${build[@]}" --require-hashes --requirement "$work/pyvips"
target=(--only-binary=:all: --python-version "$python" --implementation cp)
for platform in "${platforms[@]}"; do target+=(--platform "$platform"); done
"${pip[@]}" download "${target[@]}" --no-deps --require-hashes --dest "$wheels" --requirement "$work/wheels" \
    ${extra:+--requirement "packaging/$extra.lock"}
"${pip[@]}" download --no-deps --require-hashes --dest "$wheels" --requirement "$work/pip"

version=$(basename "$wheels"/srwatchd-*.whl | cut -d- -f2)
name=srwatchd-$version-linux-$machine-python$python
mkdir "$work/$name"
mv "$wheels" "$work/$name/"
install -m 755 packaging/install.sh "$work/$name/"
printf 'version=%s\npython=%s\nmachine=%s\nextra=%s\n' "$version" "$python" "$machine" "$extra" >"$work/$name/target"
(cd "$work/$name" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
mkdir -p "$output"
tar --create --file "$work/$name.tar" --directory "$work" --owner=0 --group=0 --sort=name "$name"
mv "$work/$name.tar" "$output/"
readlink -f "$output/$name.tar"

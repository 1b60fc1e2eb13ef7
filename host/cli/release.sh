#!/usr/bin/env bash
# Makes the archive that users download, and its checksum beside it.
#
#   host/cli/release.sh [--built FILE] [--out DIR]
#
# --built FILE  pack this binary; otherwise one is built with `cargo build --release --locked -p anneal-cli`
# --out DIR     where the archive goes; target/archive where nothing is said
#
# anneal-VERSION-TARGET.tar.gz holds the binary, README, licences, the presets of policies and SHA256SUMS of all of
# them. The same binary and commit give the same bytes: names are sorted, times are the commit's. A binary that needs
# more than the system's own libraries is refused. Prints the archive's path.
set -euo pipefail
umask 022
cd "$(dirname "$0")/../.."

built='' out=target/archive
while (($#)); do
  case $1 in
    --built) built=${2:?--built needs a file}; shift 2 ;;
    --out) out=${2:?--out needs a directory}; shift 2 ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
done

die() { echo "release: $*" >&2; exit 1; }

if [[ -z $built ]]; then
  cargo build --release --locked -p anneal-cli
  built=${CARGO_TARGET_DIR:-target}/release/anneal
fi
[[ -x $built ]] || die "$built is no program"

# What every glibc system has. The drivers of GPUs are loaded when they are there, and are no part of this.
system='^(linux-vdso|libc|libm|libdl|librt|libpthread|libgcc_s|/lib(64)?/ld-linux.*|ld-linux.*)\.so(\.[0-9]+)*$'
while read -r library _; do
  [[ $library =~ $system ]] || die "$built needs $library, which is no library of the system"
done < <(ldd "$built")

version=$("$built" --version | awk '{ print $2 }')
target=$(rustc -vV | sed -n 's/^host: //p')
name=anneal-$version-$target
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/presets" "$out"
install -m 755 "$built" "$work/$name/anneal"
install -m 644 README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT "$work/$name/"
install -m 644 policy/presets/*.toml "$work/$name/presets/"
(cd "$work/$name" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >"$work/SHA256SUMS")
mv "$work/SHA256SUMS" "$work/$name/"
tar --create --format=ustar --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner \
  --directory="$work" "$name" | gzip --no-name >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz"

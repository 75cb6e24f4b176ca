# Shared by ./quickstart and ./check: steps with progress on the terminal and everything in a log file.
# A caller sets LOG (file) and STEPS (number of steps) before the first `step`.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STEP=0
if [ -t 1 ]; then BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' OFF=$'\e[0m'; else BOLD='' DIM='' GREEN='' RED='' OFF=''; fi

say() { printf '%s\n' "$*"; }

# step TITLE COMMAND...: runs the command with its output in the log. On a terminal the last line of output is shown while
# it runs; elsewhere a line every 30 seconds. On failure prints the end of the log and exits.
step() {
  local title=$1 start=$SECONDS pid shown=0 line
  shift
  STEP=$((STEP + 1))
  printf '%s[%d/%d]%s %s\n' "$BOLD" "$STEP" "$STEPS" "$OFF" "$title"
  printf '\n=== [%d/%d] %s: %s\n' "$STEP" "$STEPS" "$title" "$*" >>"$LOG"
  "$@" >>"$LOG" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ -t 1 ]; then
      line=$(tail -c 400 "$LOG" | tr '\r' '\n' | tail -n 1 | tr -cd '[:print:]' | cut -c1-100)
      printf '\r\e[K      %s%4ds  %s%s' "$DIM" "$((SECONDS - start))" "$line" "$OFF"
    elif [ $((SECONDS - start - shown)) -ge 30 ]; then
      shown=$((SECONDS - start))
      printf '      %4ds  %s\n' "$shown" "$(tail -c 400 "$LOG" | tr '\r' '\n' | tail -n 1 | tr -cd '[:print:]' | cut -c1-100)"
    fi
  done
  [ -t 1 ] && printf '\r\e[K'
  if ! wait "$pid"; then
    printf '      %sfailed%s after %d s; the end of %s:\n\n' "$RED" "$OFF" "$((SECONDS - start))" "$LOG"
    tail -n 40 "$LOG"
    exit 1
  fi
  printf '      %sdone%s in %d s\n' "$GREEN" "$OFF" "$((SECONDS - start))"
}

# packages_of SECTION...: the names listed for these sections.
packages_of() {
  local section
  for section in "$@"; do
    awk -v want="[$section]" '/^\[/ {on = ($1 == want); next} on && NF && $1 !~ /^#/ {print $1}' "$ROOT/scripts/packages.txt"
  done
}

# install_packages SECTION...: installs what is missing and nothing else; asks for root through sudo where needed.
install_packages() {
  local missing=() name as_root=()
  while read -r name; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done < <(packages_of "$@")
  # The tests' Node.js may come from elsewhere than this machine's packages.
  if [[ " $* " == *" check "* ]]; then
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
  fi
  if [ ${#missing[@]} -eq 0 ]; then
    echo "all packages are there"
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "these packages are missing and neither root nor sudo is here: ${missing[*]}"; return 1; }
    as_root=(sudo -n)
  fi
  echo "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# build PRESET TARGET...: configures when needed and builds with two jobs.
build() {
  local preset=$1
  shift
  cd "$ROOT" || return 1
  cmake --preset "$preset" && cmake --build "build/$preset" --parallel 2 ${1:+--target "$@"}
}

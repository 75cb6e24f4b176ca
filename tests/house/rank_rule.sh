#!/usr/bin/env bash
# An include of a higher rank, an undeclared dependency and a cycle fail the configuration, and an allowed include passes.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME EXPECTED LOW_INCLUDE HIGH_DEPS: a low module (rank 1) and a high one (rank 5) that includes it.
check() {
  local name=$1 expected=$2 low_include=$3 high_deps=$4 project=$work/$1
  mkdir -p "$project/src/low" "$project/src/high"
  echo 'int low();' >"$project/src/low/low.h"
  printf '#include "low/low.h"\n%s\nint low() { return 1; }\n' "$low_include" >"$project/src/low/low.cc"
  echo 'int high();' >"$project/src/high/high.h"
  printf '#include "high/high.h"\n#include "low/low.h"\nint high() { return low(); }\n' >"$project/src/high/high.cc"
  cat >"$project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(rule LANGUAGES CXX)
find_package(fmt REQUIRED)
find_package(Threads REQUIRED)
include($root/cmake/stoa_module.cmake)
stoa_module(NAME low RANK 1 ${LOW_DEPS:-})
stoa_module(NAME high RANK 5 $high_deps)
END
  local got=pass
  cmake -S "$project" -B "$project/build" >"$project/log" 2>&1 || got=fail
  if [ "$got" != "$expected" ]; then
    echo "$name: configuration should $expected but did $got"
    cat "$project/log"
    exit 1
  fi
  echo "$name: ok ($got)"
}

check allowed pass '' 'DEPS low'
check include_of_a_higher_rank fail '#include "high/high.h"' 'DEPS low'
check undeclared_dependency fail '' ''
LOW_DEPS='DEPS high' check cycle fail '' 'DEPS low'

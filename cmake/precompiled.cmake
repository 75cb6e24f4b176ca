# Headers that nearly every file includes, compiled once. Tests take them in every preset; libraries only under sanitizers, so that the
# other presets go on showing that each file compiles with its own includes. A file with compile options of its own goes without
# (SKIP_PRECOMPILE_HEADERS): gcc reads these headers only under the options that made them.

# _stoa_precompile(NAME LIBRARY HEADER...): precompiled headers for the targets that link LIBRARY.
function(_stoa_precompile name library)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${name}.cc CONTENT "")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cc)
  target_link_libraries(${name} PRIVATE ${library})
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()

set(common <algorithm> <array> <atomic> <chrono> <cmath> <condition_variable> <cstdint> <deque> <expected> <filesystem> <fstream> <functional> <map>
  <memory> <mutex> <optional> <random> <set> <span> <sstream> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector> <fmt/format.h>)
_stoa_precompile(stoa_precompiled fmt::fmt ${common})
_stoa_precompile(stoa_test_precompiled "fmt::fmt;GTest::gtest" ${common} <gtest/gtest.h>)

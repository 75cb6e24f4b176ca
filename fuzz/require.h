// What a fuzz target says has to hold of everything it is given.
#pragma once

#include <cstdlib>

// Ends the process, which is how a target reports, where it does not.
inline void require(bool holds) {
  if (!holds) std::abort();
}

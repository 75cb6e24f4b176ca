// The command line: verbs, options, help, completion. The only file pair that knows the option parser (CLI11).
#pragma once

namespace stoa::cli {

// Parses, runs the verb and returns its exit code (terminal.h).
int run(int argc, char** argv);

}  // namespace stoa::cli

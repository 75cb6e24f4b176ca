// What keeps the secrets in a process's memory, files and command line from other users of the machine.
#pragma once

namespace stoa::cli {

// Files are made for this user only; no core dump is written, and no other process of the user may look inside.
void harden_process();
// Takes the part about core dumps and debuggers back: debug.core_dumps.
void allow_core_dumps();
// Overwrites API keys and tokens among the arguments, which every user of the machine sees in the process list. Call when they have been read.
// True when there was one.
bool hide_keys(int argc, char** argv);

}  // namespace stoa::cli

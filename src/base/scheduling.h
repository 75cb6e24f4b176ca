// What a thread asks of the system's scheduler. Both are requests: where the system does not grant them (an older kernel, a sandbox) the thread stays as
// it was. Each concerns the calling thread alone, and gives it a name of at most 15 characters that `top -H` and debuggers show.
#pragma once

namespace stoa {

// For threads that answer callers and mostly wait, or that callers wait for: short turns, so that one that wakes runs before those with long ones.
void run_promptly(const char* name);

// For threads that do what nobody waits for (write behind, flush, purge): a smaller share of a busy processor, and one that wakes interrupts nobody.
// It is never starved, since now and then somebody does wait for it.
void run_in_background(const char* name);

// For threads whose work may wait itself, as long as somebody else does it when too much is left: a small share of a busy processor, a tenth of that of a
// thread that answers, in short turns, so that hardly any thread waits for it. Not less, since it holds locks now and then.
void run_when_idle(const char* name);

// Called between two pieces of work: where the calling thread is one of the last two kinds, whoever waits for the processor goes first; else nothing. A system whose
// threads are interrupted by its clock alone would let a caller wait until the next tick (4 ms), because one that has just worked much may not interrupt.
void give_way();

}  // namespace stoa

// The allocator of the shipped binary is jemalloc: thousands of requests a second on hundreds of threads cost it less time and less memory than they cost
// the C library's. What it reads when it starts:
extern "C" {

// Threads share few arenas, so that what one frees serves another, and what stays free for a second goes back to the system, on a thread of jemalloc's own.
extern const char* const malloc_conf;
const char* const malloc_conf = "narenas:4,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";

}

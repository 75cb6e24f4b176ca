"""llama.cpp in a process of its own, one JSON object a line in, one out:
  peer_process.py PACKAGE MODEL THREADS CONTEXT SEQUENCES (on | off) [BACKEND]
  {"tokenize": text} -> {"ids"}
  {"prompts": [[ids]...], "tokens": N, "skip": S} -> {"prefill_tokens", "prefill_seconds", "tokens", "seconds"}: prompts one after the other, then
      N steps that add a token to each; the first S are left out of `tokens` and `seconds`. Tokens are not sampled: that costs llama.cpp nothing
  {"resident": true} -> {"bytes"}
"""

import json
import pathlib
import sys
import time

import llamacpp

BATCH = 512


def run(peer, prompts, tokens, skip):
    peer.clear()
    begin = time.perf_counter()
    for sequence, ids in enumerate(prompts):
        for first in range(0, len(ids), BATCH):
            chunk = ids[first:first + BATCH]
            peer.decode_rows([(token, first + i, sequence, first + i + 1 == len(ids)) for i, token in enumerate(chunk)])
    filled = time.perf_counter()
    start = filled
    for step in range(tokens):
        if step == skip:
            start = time.perf_counter()
        # Any token will do, as long as sequences differ.
        peer.decode_rows([(ids[(step + sequence) % len(ids)], len(ids) + step, sequence, True) for sequence, ids in enumerate(prompts)])
    end = time.perf_counter()
    return {"prefill_tokens": sum(map(len, prompts)), "prefill_seconds": filled - begin, "tokens": max(0, tokens - skip) * len(prompts), "seconds": end - start}


def resident():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def main():
    package, model, threads, context, sequences, flash, *backend = sys.argv[1:]
    begin = time.perf_counter()
    peer = llamacpp.LlamaCpp(llamacpp.load_node_llama_cpp(package, *backend), model, int(threads), int(context), int(sequences), flash == "on")
    print(json.dumps({"ready": True, "load_seconds": time.perf_counter() - begin, "system": peer.system()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "tokenize" in request:
            answer = {"ids": peer.tokenize(request["tokenize"])}
        elif "resident" in request:
            answer = {"bytes": resident()}
        else:
            answer = run(peer, request["prompts"], request["tokens"], request["skip"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""tantivy with the same passages and the same terms: peer_tantivy.py PASSAGES TERMS K. Prints "name value" lines. Timed is the search alone, with the
query made before; hits are not counted, so that it may pass by what cannot be among the best. Times are the processor's."""

import os
import sys
import tempfile
import time

import tantivy

passages, terms, k = sys.argv[1], sys.argv[2], int(sys.argv[3])
builder = tantivy.SchemaBuilder()
builder.add_text_field("body", stored=False, tokenizer_name="en_stem", index_option="position")
builder.add_unsigned_field("slot", stored=True)
schema = builder.build()
with tempfile.TemporaryDirectory() as folder:
    index = tantivy.Index(schema, path=folder)
    lines = open(passages, encoding="utf-8").read().split("\n")[:-1]
    begin = time.process_time()
    writer = index.writer(heap_size=1 << 30, num_threads=1)
    for slot, line in enumerate(lines):
        writer.add_document(tantivy.Document(body=line, slot=slot))
    writer.commit()
    writer.wait_merging_threads()
    print("build_passages_per_second", len(lines) / (time.process_time() - begin))
    index.reload()
    searcher = index.searcher()
    print("segments", searcher.num_segments)
    print("bytes_per_passage", sum(entry.stat().st_size for entry in os.scandir(folder)) / len(lines))
    queries = []
    for line in open(terms, encoding="utf-8"):
        parts = [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "body", term, "freq")) for term in line.split()]
        queries.append(tantivy.Query.boolean_query(parts))
    times = [1e9] * len(queries)
    for _ in range(3):
        for i, query in enumerate(queries):
            begin = time.thread_time()
            searcher.search(query, k, count=False)
            times[i] = min(times[i], (time.thread_time() - begin) * 1e3)
    times.sort()
    print("queries_per_second", 1e3 * len(times) / sum(times))
    print("p50_ms", times[len(times) // 2])
    print("p99_ms", times[len(times) * 99 // 100])

// What a search asks of the rows: the passages of its hits, what stands around them, and their vectors and ages.
#include <algorithm>

#include "data/sources/catalog.h"
#include "data/sources/rows.h"
#include "data/sources/sentence_vectors.h"

namespace stoa::data {
namespace {

using infra::SqlRow;

constexpr int kNeighbourReach = 2, kSectionReach = 32;  // chunks on either side
constexpr std::size_t kSurroundingBytes = 8192;         // of the text around one passage, its own included

// Also those that were replaced: a search that found them is repeated when its collection has turned over.
constexpr std::string_view kChunkOfProject = "SELECT d.embedding_model, k.sealed FROM chunks k JOIN documents d ON d.id = k.document JOIN collections c ON c.id = d.collection "
                                             "WHERE k.key = ? AND c.project = ?";

// A time as documents say it: a number of seconds since 1970, or RFC 3339.
std::optional<Micros> time_of(const Attribute& attribute) {
  constexpr double kMost = 1e11;  // seconds: the year 5138
  if (const auto* seconds = std::get_if<double>(&attribute)) return *seconds >= 0 && *seconds <= kMost ? std::optional(static_cast<Micros>(*seconds * 1e6)) : std::nullopt;
  const auto* text = std::get_if<std::string>(&attribute);
  if (text == nullptr) return std::nullopt;
  const auto parsed = parse_rfc3339(*text);
  return parsed ? std::optional(*parsed) : std::nullopt;
}

struct Neighbour {
  std::int64_t key = 0;
  Bytes sealed;
};

// The text of `around[own]` and of those next to it, as far as they fit, in reading order. A chunk that does not fit ends its side, so that nothing is missing in
// the middle; empty where none fits.
Result<std::string> join_around(const governance::ProjectKeys& keys, const std::vector<Neighbour>& around, std::size_t own) {
  std::vector<std::string> texts(around.size());
  const auto open = [&](std::size_t i) -> Status {
    STOA_TRY(chunk, open_chunk(keys, around[i].key, around[i].sealed));
    texts[i] = std::move(chunk.text);
    return {};
  };
  STOA_CHECK(open(own));
  std::size_t begin = own, end = own + 1, bytes = texts[own].size();
  for (bool up = begin > 0, down = end < around.size(); up || down;) {
    for (bool* side : {&down, &up}) {
      if (!*side) continue;
      const std::size_t next = side == &up ? begin - 1 : end;
      STOA_CHECK(open(next));
      *side = bytes + texts[next].size() + 2 <= kSurroundingBytes;
      if (!*side) continue;
      bytes += texts[next].size() + 2;
      if (side == &up) *side = --begin > 0;
      else *side = ++end < around.size();
    }
  }
  std::string joined;
  for (std::size_t i = begin; end - begin > 1 && i < end; ++i) joined += (joined.empty() ? "" : "\n\n") + texts[i];
  return joined;
}

// Those of the project whose vectors are of a model that `known` gives something for, which visit() gets with the place in `keys`.
template <class Known, class Visit>
Status each_chunk(infra::SqlSession& sql, const governance::ProjectKeys& project_keys, std::span<const ChunkKey> keys, Known known, Visit visit) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    STOA_TRY(row, sql.query_one(kChunkOfProject, {keys[i], project_keys.project()}));
    if (!row) continue;
    std::string model;
    Bytes sealed;
    STOA_CHECK(row->read(model, sealed));
    const auto of_model = known(model);
    if (!of_model) continue;
    STOA_TRY(chunk, open_chunk(project_keys, keys[i], sealed));
    visit(i, *of_model, std::move(chunk));
  }
  return {};
}

}  // namespace

Result<std::vector<FoundPassage>> Catalog::passages(const Call& call, std::span<const Hit> hits) {
  std::vector<FoundPassage> passages;
  if (hits.empty()) return passages;
  STOA_TRY(keys, this->keys(call));
  const std::string select = fmt::format("SELECT {} FROM chunks k JOIN documents d ON d.id = k.document AND d.generation = k.generation JOIN collections c ON c.id = d.collection "
                                         "WHERE c.project = ? AND d.status = ? AND k.key = ?", kDocumentColumns);
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const Hit& hit = hits[i];
    STOA_TRY(row, sql_.query_one(select, {call.principal.project, std::int64_t{static_cast<int>(DocumentStatus::kCompleted)}, hit.key}));
    if (!row) continue;
    STOA_TRY(stored, read_document(*row, keys));
    Document& document = stored.document;
    Passage passage{.document_id = document.id, .collection = document.collection, .file_id = document.file_id, .path = document.path, .title = document.title};
    passage.document_version = document.digest;
    passage.readers = permitting_entry(call.principal, document.access);
    if (passage.readers.empty() || !permitted(call, stored)) continue;
    STOA_TRY(complete, fill_passage(keys, hit, passage));
    if (complete) passages.push_back({i, std::move(passage), std::move(document.attributes)});
  }
  return passages;
}

Result<std::vector<std::optional<Nearness>>> Catalog::nearness(const Call& call, std::span<const ChunkKey> keys, std::span<const QueryVector> query) {
  std::vector<std::optional<Nearness>> found(keys.size());
  STOA_TRY(project_keys, this->keys(call));
  const auto of_model = [&](std::string_view model) {
    const auto one = std::ranges::find(query, model, &QueryVector::model);
    return one == query.end() || one->values.empty() ? std::nullopt : std::optional(one->values);
  };
  STOA_CHECK(each_chunk(sql_, project_keys, keys, of_model, [&](std::size_t i, std::span<const float> asked, const OpenedChunk& chunk) {
    if (chunk.vector.size() != asked.size()) return;
    const double whole = static_cast<double>(dot(chunk.vector.data(), asked.data(), asked.size()));
    const auto sentence = nearest_sentence(chunk.sentences, asked);
    found[i] = Nearness{whole, sentence ? sentence->cosine : whole};
  }));
  return found;
}

Result<std::vector<std::vector<float>>> Catalog::vectors(const Call& call, std::span<const ChunkKey> keys, std::string_view embedding_model) {
  std::vector<std::vector<float>> found(keys.size());
  STOA_TRY(project_keys, this->keys(call));
  STOA_CHECK(each_chunk(sql_, project_keys, keys, [&](std::string_view model) { return model == embedding_model ? std::optional(model) : std::nullopt; }, [&](std::size_t i, std::string_view, OpenedChunk chunk) { found[i] = std::move(chunk.vector); }));
  return found;
}

Result<std::vector<std::optional<PassageAge>>> Catalog::ages(const Call& call, std::span<const ChunkKey> keys, const std::string& attribute) {
  std::vector<std::optional<PassageAge>> found(keys.size());
  std::map<std::string, PassageAge> known;  // of documents
  STOA_TRY(project_keys, this->keys(call));
  const std::string select = fmt::format("SELECT {} FROM documents d JOIN collections c ON c.id = d.collection WHERE c.project = ? AND d.id = ?", kDocumentColumns);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    STOA_TRY(owner, sql_.query_one("SELECT document FROM chunks WHERE key = ?", {keys[i]}));
    if (!owner) continue;
    STOA_TRY(id, owner->get<std::string>(0));
    auto age = known.find(id);
    if (age == known.end()) {
      STOA_TRY(row, sql_.query_one(select, {call.principal.project, id}));
      if (!row) continue;
      STOA_TRY(stored, read_document(*row, project_keys));
      const auto named = stored.document.attributes.find(attribute);
      const auto time = named == stored.document.attributes.end() ? std::nullopt : time_of(named->second);
      age = known.emplace(std::move(id), PassageAge{std::max<Micros>(0, clock_.now() - time.value_or(stored.document.created)), time.has_value()}).first;
    }
    found[i] = age->second;
  }
  return found;
}

Result<std::vector<std::string>> Catalog::surroundings(const Call& call, std::span<const ChunkKey> hits, Surroundings wanted) {
  std::vector<std::string> texts(hits.size());
  if (wanted == Surroundings::kNone) return texts;
  STOA_TRY(project_keys, this->keys(call));
  const std::int64_t reach = wanted == Surroundings::kSection ? kSectionReach : kNeighbourReach;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    std::vector<Neighbour> around;
    std::size_t own = 0;
    STOA_CHECK(sql_.for_each("SELECT s.key, s.sealed FROM chunks k JOIN documents d ON d.id = k.document JOIN collections c ON c.id = d.collection "
                             "JOIN chunks s ON s.document = k.document AND s.parent = k.parent AND s.generation = k.generation AND s.ordinal BETWEEN k.ordinal - ? AND k.ordinal + ? "
                             "WHERE k.key = ? AND c.project = ? ORDER BY s.ordinal",
                             {reach, reach, hits[i], call.principal.project}, [&](const SqlRow& row) -> Result<bool> {
                               Neighbour one;
                               STOA_CHECK(row.read(one.key, one.sealed));
                               if (one.key == hits[i]) own = around.size();
                               if (one.key == hits[i] || std::ranges::find(hits, one.key) == hits.end()) around.push_back(std::move(one));
                               return true;
                             }));
    if (around.size() < 2) continue;  // it stands alone
    STOA_TRY(text, join_around(project_keys, around, own));
    texts[i] = std::move(text);
  }
  return texts;
}

Result<bool> Catalog::fill_passage(const governance::ProjectKeys& keys, const Hit& hit, Passage& passage) {
  STOA_TRY(row, sql_.query_one("SELECT id, page, sealed FROM chunks WHERE key = ?", {hit.key}));
  if (!row) return false;
  Bytes sealed;
  STOA_CHECK(row->read(passage.chunk_id, passage.page, sealed));
  STOA_TRY(chunk, open_chunk(keys, hit.key, sealed));
  STOA_TRY(headings, strings_from_json(chunk.section));
  passage.section = std::move(headings);
  passage.anchor = std::move(chunk.anchor);
  passage.text = std::move(chunk.text);
  passage.score = hit.score;
  return true;
}

}  // namespace stoa::data

#include "data/index/sparse/sparse_index.h"

#include <algorithm>
#include <array>
#include <utility>

#include "data/index/sparse/varint.h"

namespace stoa::data {
namespace {

constexpr std::size_t kStep = 4096;  // postings that a write rewrites when a compaction runs

template <class T>
void make_room(std::vector<T>& row) {
  if (row.size() == row.capacity()) row.reserve(std::max<std::size_t>(8, row.size() + row.size() / 4));
}

template <class T>
std::size_t bytes_of(const std::vector<T>& row) {
  return row.capacity() * sizeof(T);
}

}  // namespace

std::uint32_t SparseIndex::ordinal_of(std::uint32_t slot) const {
  const std::size_t page = slot / kPage;
  return page < pages_.size() && pages_[page] != nullptr ? pages_[page][slot % kPage] : kNoOrdinal;
}

void SparseIndex::set_ordinal(std::uint32_t slot, std::uint32_t ordinal) {
  const std::size_t page = slot / kPage;
  if (pages_.size() <= page) pages_.resize(page + 1);
  if (pages_[page] == nullptr) {
    pages_[page] = std::make_unique_for_overwrite<std::uint32_t[]>(kPage);
    std::fill_n(pages_[page].get(), kPage, kNoOrdinal);
  }
  pages_[page][slot % kPage] = ordinal;
}

std::unique_ptr<std::uint8_t[]> SparseIndex::pack_terms(const std::vector<std::uint32_t>& terms) {
  thread_local std::vector<std::uint8_t> buffer;
  buffer.resize((terms.size() + 1) * kMaxVarint);
  std::uint8_t* out = put_varint(buffer.data(), static_cast<std::uint32_t>(terms.size()));
  std::uint32_t before = 0;
  for (const std::uint32_t term : terms) {
    out = put_varint(out, term - before);
    before = term;
  }
  auto bytes = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(out - buffer.data()));
  std::copy(buffer.data(), out, bytes.get());
  return bytes;
}

Status SparseIndex::check(std::uint32_t slot, const AnalysedText& text) const {
  if (slot > kMaxSlot) return fail(ErrorCode::kInvalidArgument, "slot {} is above {}", slot, kMaxSlot);
  if (text.tokens.size() > kMaxPassageWords) return fail(ErrorCode::kTooLarge, "a passage has at most {} words, this one has {}", kMaxPassageWords, text.tokens.size());
  std::uint32_t before = 0;
  for (const auto& token : text.tokens) {
    if (token.size == 0 || token.size > kMaxTermSize) return fail(ErrorCode::kInvalidArgument, "a term has 1 to {} bytes, not {}", kMaxTermSize, token.size);
    if (token.position < before) return fail(ErrorCode::kInvalidArgument, "position {} comes after {}", token.position, before);
    before = token.position;
  }
  if (before > kMaxPassageWords) return fail(ErrorCode::kTooLarge, "positions of a passage go to {}, this one's to {}", kMaxPassageWords, before);
  if (held_words() + text.tokens.size() > kMaxWords) return fail(ErrorCode::kResourceExhausted, "a segment has at most {} words", kMaxWords);
  if (passages_.size() >= kNoOrdinal - 1) return fail(ErrorCode::kResourceExhausted, "a segment has at most {} passages", kNoOrdinal - 1);
  return {};
}

Status SparseIndex::put(std::uint32_t slot, const AnalysedText& text) {
  STOA_CHECK(check(slot, text));
  remove(slot);
  const auto ordinal = static_cast<std::uint32_t>(passages_.size());
  thread_local std::vector<std::uint64_t> words;  // term << 32 | position
  thread_local std::vector<std::uint32_t> terms, positions;
  words.clear();
  terms.clear();
  for (const auto& token : text.tokens) {
    const std::uint32_t term = dictionary_.add(text.term(token));
    words.push_back(static_cast<std::uint64_t>(term) << 32 | token.position);
  }
  if (terms_.size() < dictionary_.size()) {
    if (terms_.capacity() < dictionary_.size()) terms_.reserve(dictionary_.size() + terms_.size() / 4);
    terms_.resize(dictionary_.size());
  }
  std::ranges::sort(words);
  make_room(passages_);
  make_room(lengths_);
  passages_.push_back({slot, nullptr});
  lengths_.push_back(static_cast<std::uint32_t>(text.tokens.size()));
  for (std::size_t i = 0; i < words.size();) {
    const auto term = static_cast<std::uint32_t>(words[i] >> 32);
    positions.clear();
    for (; i < words.size() && words[i] >> 32 == term; ++i) positions.push_back(static_cast<std::uint32_t>(words[i]));
    terms.push_back(term);
    const OrdinalView view = view_of(term);
    terms_[term].list.append(view.renumbering == nullptr ? ordinal : view.renumbering->new_ordinal(ordinal), positions, view);
    ++terms_[term].passages;
  }
  passages_.back().terms = pack_terms(terms);
  set_ordinal(slot, ordinal);
  ++live_;
  words_ += text.tokens.size();
  if (compaction_ != nullptr) compact(kStep);
  return {};
}

void SparseIndex::remove(std::uint32_t slot) {
  const std::uint32_t ordinal = ordinal_of(slot);
  if (ordinal == kNoOrdinal) return;
  Passage& passage = passages_[ordinal];
  for_each_term(passage, [&](std::uint32_t term) { --terms_[term].passages; });
  passage = {};
  set_ordinal(slot, kNoOrdinal);
  --live_;
  words_ -= lengths_[ordinal];
  dead_words_ += lengths_[ordinal];
  if (live_ == 0) {
    *this = SparseIndex();
  } else {
    compact(kStep);
  }
}

AnalysedText SparseIndex::extract(std::uint32_t slot) const {
  AnalysedText text;
  const std::uint32_t ordinal = ordinal_of(slot);
  if (ordinal == kNoOrdinal) return text;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> words;  // position, term
  DecodedPostings postings;
  for_each_term(passages_[ordinal], [&](std::uint32_t term) {
    const PostingList& list = terms_[term].list;
    const OrdinalView view = view_of(term);
    const std::uint32_t goal = view.renumbering == nullptr ? ordinal : view.renumbering->new_ordinal(ordinal);
    const auto blocks = list.blocks();
    const auto part = static_cast<std::size_t>(std::ranges::lower_bound(blocks, goal, {}, &PostingBlock::last) - blocks.begin());
    list.read_ordinals(part, postings);
    list.read_frequencies(part, postings);
    const std::uint8_t* in = list.positions(part);
    for (std::uint32_t i = 0; i < postings.count && postings.ordinals[i] <= goal; ++i) {
      if (list.is_tail(part)) in = skip_varints(in, 2);
      if (postings.ordinals[i] < goal) {
        in = skip_varints(in, postings.frequencies[i]);
        continue;
      }
      std::uint32_t position = 0;
      for (std::uint32_t n = postings.frequencies[i]; n > 0; --n) words.emplace_back(position += get_varint(in), term);
    }
  });
  std::ranges::sort(words);
  for (const auto& [position, term] : words) text.add(dictionary_.name(term), position);
  return text;
}

std::uint32_t SparseIndex::passages_with(std::string_view term) const {
  const std::uint32_t number = dictionary_.find(term);
  return number == kNoTerm ? 0 : terms_[number].passages;
}

std::size_t SparseIndex::memory_bytes() const {
  std::size_t bytes = sizeof(*this) + dictionary_.memory_bytes() + bytes_of(terms_) + bytes_of(passages_) + bytes_of(lengths_) + bytes_of(pages_);
  for (const auto& page : pages_) bytes += page == nullptr ? 0 : kPage * sizeof(std::uint32_t);
  for (const auto& term : terms_) bytes += term.list.memory_bytes();
  for (const auto& passage : passages_) {
    if (passage.terms == nullptr) continue;
    const std::uint8_t* in = passage.terms.get();
    const std::uint32_t count = get_varint(in);
    bytes += static_cast<std::size_t>(skip_varints(in, count) - passage.terms.get());
  }
  if (compaction_ != nullptr) {
    bytes += sizeof(Compaction) + bytes_of(compaction_->renumbering.old_of_new) + bytes_of(compaction_->renumbering.new_of_old) + compaction_->rewritten.memory_bytes();
  }
  return bytes;
}

}  // namespace stoa::data

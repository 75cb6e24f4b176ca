// Snapshots: docs/formats/sparse-index.md. What lies in memory is written as it lies; what is read is believed only after all of it was looked at.
#include <algorithm>
#include <cstring>
#include <utility>

#include "data/index/sparse/checksum.h"
#include "data/index/sparse/sparse_index.h"
#include "data/index/sparse/varint.h"

namespace stoa::data {
namespace {

constexpr std::string_view kMagic = "stoasprs";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kChecksumSize = sizeof(std::uint64_t);

class SnapshotWriter {
 public:
  explicit SnapshotWriter(std::string& out) : out_(out) {}
  void bytes(const void* data, std::size_t size) { out_.append(static_cast<const char*>(data), size); }
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void number(std::uint32_t value) {
    std::uint8_t buffer[kMaxVarint];
    bytes(buffer, static_cast<std::size_t>(put_varint(buffer, value) - buffer));
  }

 private:
  std::string& out_;
};

Error broken(std::string_view what) { return error(ErrorCode::kDataLoss, "the snapshot of a text index is broken: {}", what); }

// Reads what may be anything. After the first thing that is not there, everything is zero and empty, and ok() says so.
class SnapshotReader {
 public:
  explicit SnapshotReader(std::string_view in) : at_(reinterpret_cast<const std::uint8_t*>(in.data())), end_(at_ + in.size()) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  std::span<const std::uint8_t> bytes(std::size_t size) {
    if (size > left()) {
      ok_ = false;
      at_ = end_;
      return {};
    }
    return {std::exchange(at_, at_ + size), size};
  }
  std::uint32_t number() {
    if (at_ != end_ && *at_ < 0x80) return *at_++;  // nearly all
    std::uint64_t value = 0;
    for (int i = 0; i < kMaxVarint; ++i) {
      const auto byte = bytes(1);
      if (byte.empty()) return 0;
      value |= static_cast<std::uint64_t>(byte[0] & 0x7F) << (7 * i);
      if (byte[0] < 0x80) {
        if (value > 0xFFFFFFFF) break;
        return static_cast<std::uint32_t>(value);
      }
    }
    ok_ = false;
    return 0;
  }
  const std::uint8_t* at() const { return at_; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool ok_ = true;
};

std::uint32_t mixed(std::uint32_t term) {
  const std::uint64_t product = (term + 1) * 0x9E3779B185EBCA87;
  return static_cast<std::uint32_t>(product >> 29);
}

// What the lists say of each passage, to be compared with what the passages say of themselves.
struct PassageSums {
  std::vector<std::uint32_t> words, terms;
};

}  // namespace

class ListFile {
 public:
  static void write(const PostingList& list, SnapshotWriter& out) {
    out.number(list.tail_count_);
    out.number(list.tail_.size());
    out.bytes(list.tail_.data(), list.tail_.size());
    out.number(static_cast<std::uint32_t>(list.blocks().size()));
    if (list.sealed_ == nullptr) return;
    const auto& sealed = *list.sealed_;
    for (std::size_t i = 0; i < sealed.blocks.size(); ++i) {
      const PostingBlock& block = sealed.blocks[i];
      const std::size_t end = i + 1 < sealed.blocks.size() ? sealed.blocks[i + 1].positions : sealed.positions.size();
      out.byte(block.ordinal_bits);
      out.byte(block.frequency_bits);
      out.bytes(sealed.data.data() + block.data, packed_size(block.ordinal_bits) + packed_size(block.frequency_bits));
      out.number(static_cast<std::uint32_t>(end - block.positions));
      out.bytes(sealed.positions.data() + block.positions, end - block.positions);
    }
  }

  static bool read(SnapshotReader& in, std::uint32_t term, const OrdinalView& view, std::uint32_t passages, PassageSums& sums, PostingList& list) {
    const std::uint32_t tail_count = in.number();
    const auto tail = in.bytes(in.number());
    const std::uint32_t blocks = in.number();
    if (!in.ok() || tail_count >= kBlockSize || blocks > in.left()) return false;
    DecodedPostings block;
    for (std::uint32_t i = 0; i < blocks; ++i) {
      if (!read_block(in, list, passages, block)) return false;
      const auto positions = in.bytes(in.number());
      SnapshotReader check({reinterpret_cast<const char*>(positions.data()), positions.size()});
      for (std::uint32_t j = 0; j < block.count; ++j) {
        if (!add(term, block.ordinals[j], block.frequencies[j], check, view, sums)) return false;
      }
      if (!in.ok() || check.left() != 0) return false;
      list.seal_block(block, positions, view);
      list.last_ = block.ordinals.back();
    }
    SnapshotReader postings({reinterpret_cast<const char*>(tail.data()), tail.size()});
    for (std::uint32_t i = 0; i < tail_count; ++i) {
      const std::uint32_t step = postings.number();
      const std::uint64_t ordinal = static_cast<std::uint64_t>(list.last_ + 1) + step - 1;
      const std::uint32_t frequency = postings.number();
      const std::uint8_t* from = postings.at();
      if (step == 0 || !postings.ok() || ordinal >= passages || !add(term, static_cast<std::uint32_t>(ordinal), frequency, postings, view, sums)) return false;
      list.append(static_cast<std::uint32_t>(ordinal), frequency, {from, postings.at()}, view);
    }
    list.shrink();
    return postings.left() == 0;
  }

 private:
  // Ordinals ascend and are below the number of passages.
  static bool read_block(SnapshotReader& in, const PostingList& list, std::uint32_t passages, DecodedPostings& block) {
    const auto bits = in.bytes(2);
    if (!in.ok() || bits[0] > 32 || bits[1] > 21) return false;
    const auto data = in.bytes(packed_size(bits[0]) + packed_size(bits[1]));
    if (!in.ok()) return false;
    std::array<std::uint32_t, kBlockSize> steps;
    unpack(data.data(), bits[0], steps.data());
    unpack(data.data() + packed_size(bits[0]), bits[1], block.frequencies.data());
    std::uint64_t next = static_cast<std::uint32_t>(list.last_ + 1);
    for (std::size_t i = 0; i < kBlockSize; ++i) {
      const std::uint64_t ordinal = next + steps[i];
      if (ordinal >= passages) return false;
      block.ordinals[i] = static_cast<std::uint32_t>(ordinal);
      ++block.frequencies[i];
      next = ordinal + 1;
    }
    block.count = kBlockSize;
    return true;
  }

  static bool add(std::uint32_t term, std::uint32_t ordinal, std::uint32_t frequency, SnapshotReader& positions, const OrdinalView& view, PassageSums& sums) {
    if (frequency == 0 || frequency > view.length(ordinal)) return false;
    std::uint64_t position = 0;
    for (std::uint32_t i = 0; i < frequency; ++i) position += positions.number();
    sums.words[ordinal] += frequency;
    sums.terms[ordinal] += mixed(term);
    return positions.ok() && position <= SparseIndex::kMaxPassageWords;
  }
};

class SparseSnapshot {
 public:
  static void write(const SparseIndex& index, SnapshotWriter& out) {
    out.number(static_cast<std::uint32_t>(index.passages_.size()));
    for (std::size_t ordinal = 0; ordinal < index.passages_.size(); ++ordinal) {
      const auto& passage = index.passages_[ordinal];
      out.number(passage.slot + 1);  // 0: dead
      out.number(index.lengths_[ordinal]);
      if (passage.slot == SparseIndex::kNoSlot) continue;
      const std::uint8_t* in = passage.terms.get();
      const std::uint32_t terms = get_varint(in);
      out.bytes(passage.terms.get(), static_cast<std::size_t>(skip_varints(in, terms) - passage.terms.get()));
    }
    out.number(static_cast<std::uint32_t>(index.terms_.size()));
    for (std::uint32_t term = 0; term < index.terms_.size(); ++term) {
      const bool is_free = index.dictionary_.is_free(term);
      const std::string_view name = is_free ? std::string_view() : index.dictionary_.name(term);
      out.byte(static_cast<std::uint8_t>(name.size()));
      out.bytes(name.data(), name.size());
      if (is_free) continue;
      if (index.is_rewritten(term)) {
        ListFile::write(with_own_numbers(index, term), out);
      } else {
        ListFile::write(index.terms_[term].list, out);
      }
    }
  }

  static Result<SparseIndex> read(SnapshotReader& in) {
    SparseIndex index;
    PassageSums said, found;
    STOA_CHECK(read_passages(in, index, said));
    found.words.resize(said.words.size());
    found.terms.resize(said.terms.size());
    const std::uint32_t terms = in.number();
    if (!in.ok() || terms > in.left()) return fail(broken("it ends among its terms"));
    index.terms_.resize(terms);
    const auto passages = static_cast<std::uint32_t>(index.passages_.size());
    for (std::uint32_t term = 0; term < terms; ++term) {
      const auto size = in.bytes(1);
      const auto name = in.bytes(size.empty() ? 0 : size[0]);
      if (!in.ok() || !index.dictionary_.restore({reinterpret_cast<const char*>(name.data()), name.size()})) return fail(broken("a term is there twice, or cut"));
      if (!name.empty() && !ListFile::read(in, term, {index.lengths_.data(), nullptr}, passages, found, index.terms_[term].list)) return fail(broken("the postings of a term"));
    }
    if (in.left() != 0) return fail(broken("something follows it"));
    index.dictionary_.order_restored();
    for (std::uint32_t i = 0; i < passages; ++i) {
      const bool lives = index.passages_[i].slot != SparseIndex::kNoSlot;
      if (lives && (found.words[i] != said.words[i] || found.terms[i] != said.terms[i])) return fail(broken("passages and postings differ"));
      bool known = true;
      SparseIndex::for_each_term(index.passages_[i], [&](std::uint32_t term) {
        if (term < terms) ++index.terms_[term].passages;
        known = known && term < terms;
      });
      if (!known) return fail(broken("the terms of a passage"));
    }
    return index;
  }

 private:
  // While a compaction runs: the list in the numbers the others have.
  static PostingList with_own_numbers(const SparseIndex& index, std::uint32_t term) {
    const PostingList& list = index.terms_[term].list;
    const OrdinalView view = index.view_of(term);
    PostingList own;
    DecodedPostings block;
    for (std::size_t part = 0; part < list.parts(); ++part) {
      list.read_ordinals(part, block);
      list.read_frequencies(part, block);
      const std::uint8_t* in = list.positions(part);
      for (std::uint32_t i = 0; i < block.count; ++i) {
        if (list.is_tail(part)) in = skip_varints(in, 2);
        const std::uint8_t* end = skip_varints(in, block.frequencies[i]);
        own.append(view.current(block.ordinals[i]), block.frequencies[i], {in, end}, {index.lengths_.data(), nullptr});
        in = end;
      }
    }
    return own;
  }

  static Status read_passages(SnapshotReader& in, SparseIndex& index, PassageSums& said) {
    const std::uint32_t passages = in.number();
    if (passages > in.left()) return fail(broken("it ends among its passages"));
    index.passages_.resize(passages);
    said.words.resize(passages);
    said.terms.resize(passages);
    std::vector<std::uint32_t> terms;
    for (std::uint32_t ordinal = 0; ordinal < passages; ++ordinal) {
      const std::uint32_t slot = in.number() - 1;
      const std::uint32_t length = said.words[ordinal] = in.number();
      index.lengths_.push_back(length);
      if (length > SparseIndex::kMaxPassageWords) return fail(broken("a passage is too long"));
      if (slot == SparseIndex::kNoSlot) {
        index.dead_words_ += length;
        continue;
      }
      const std::uint32_t count = in.number();
      if (!in.ok() || slot > SparseIndex::kMaxSlot || index.contains(slot) || count > length) return fail(broken("a passage"));
      terms.clear();
      std::uint64_t term = 0;
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t step = in.number();
        term += step;
        if ((i > 0 && step == 0) || term >= kNoTerm || !in.ok()) return fail(broken("the terms of a passage"));
        terms.push_back(static_cast<std::uint32_t>(term));
        said.terms[ordinal] += mixed(terms.back());
      }
      index.passages_[ordinal] = {slot, SparseIndex::pack_terms(terms)};
      index.set_ordinal(slot, ordinal);
      ++index.live_;
      index.words_ += length;
    }
    if (!in.ok()) return fail(broken("it ends among its passages"));
    if (index.words_ + index.dead_words_ > SparseIndex::kMaxWords) return fail(broken("it has too many words"));
    return {};
  }
};

std::string SparseIndex::save() const {
  std::string bytes;
  SnapshotWriter out(bytes);
  out.bytes(kMagic.data(), kMagic.size());
  out.number(kVersion);
  SparseSnapshot::write(*this, out);
  const std::uint64_t sum = snapshot_checksum(bytes);
  out.bytes(&sum, kChecksumSize);
  return bytes;
}

Result<SparseIndex> SparseIndex::load(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + 1 + kChecksumSize) return fail(broken("it does not begin like one"));
  SnapshotReader in(bytes.substr(kMagic.size(), bytes.size() - kMagic.size() - kChecksumSize));
  const std::uint32_t version = in.number();
  if (in.ok() && version != kVersion) return fail(error(ErrorCode::kUnsupported, "the snapshot of a text index is of version {}, not {}", version, kVersion));
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - kChecksumSize, kChecksumSize);
  if (sum != snapshot_checksum(bytes.substr(0, bytes.size() - kChecksumSize))) return fail(broken("its checksum is wrong"));
  return SparseSnapshot::read(in);
}

}  // namespace stoa::data

// Snapshots: docs/formats/sparse-index.md. What lies in memory is written as it lies; what is read is believed only after all of it was looked at.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "data/index/sparse/snapshot_frames.h"
#include "data/index/sparse/sparse_index.h"

namespace stoa::data {
namespace {

constexpr std::string_view kMagic = "stoasprs";
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kPassagesOfFrame = 8192;
constexpr std::size_t kBytesOfFrame = 256u << 10;       // of lists: a frame ends with the list that comes to this
constexpr std::size_t kMaxPassages = std::size_t{1} << 31;  // dead ones included

Error broken(std::string_view what) { return error(ErrorCode::kDataLoss, "the snapshot of a text index is broken: {}", what); }

// Which living passages have which terms, and how many words they have in all: once as the passages say, once as the lists do. The pairs are summed as mixed numbers, so that it is by chance
// that two sides which differ are equal.
struct Totals {
  std::uint64_t pairs = 0, words = 0;

  void add(std::uint64_t mixed_term, std::uint32_t ordinal) {
    std::uint64_t pair = (mixed_term + ordinal) * 0xC2B2AE3D27D4EB4F;
    pair = (pair ^ (pair >> 32)) * 0x9E3779B185EBCA87;  // sums of products alone do not tell who goes with whom
    pairs += pair ^ (pair >> 29);
  }
  void add(const Totals& other) {
    pairs += other.pairs;
    words += other.words;
  }
};
std::uint64_t mixed(std::uint32_t term) {
  const std::uint64_t product = (term + 1ull) * 0x9E3779B185EBCA87;
  return product ^ (product >> 32);
}

// The passages that the lists are about.
struct Lives {
  std::vector<std::uint64_t> bits;  // by ordinal
  bool all = true;
  bool has(std::uint32_t ordinal) const { return all || (bits[ordinal / 64] >> (ordinal % 64) & 1) != 0; }
};

// Whether these are positions of so many words, and of none more than there may be in a passage. Most have one byte or two: then counting is enough.
bool few_short_positions(std::span<const std::uint8_t> bytes, std::uint64_t words) {
  constexpr std::uint64_t kHigh = 0x8080808080808080;
  std::uint64_t longer = 0, runs = 0, before = 0;  // bytes with more to come; whether two are side by side
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    const std::uint64_t high = word & kHigh;
    runs |= high & (high << 8 | before);
    before = high >> 56;
    longer += ((high >> 7) * 0x0101010101010101) >> 56;
  }
  for (; at < bytes.size(); ++at) {
    const std::uint64_t high = bytes[at] & 0x80u;
    runs |= high & before;
    before = high;
    longer += high >> 7;
  }
  return runs == 0 && before == 0 && bytes.size() - longer == words && 127 * words + 16'256 * longer <= SparseIndex::kMaxPassageWords;
}

}  // namespace

class ListFile {
 public:
  static void write(const PostingList& list, FrameWriter& out) {
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

  ListFile(const std::vector<std::uint32_t>& lengths, const Lives& lives) : lengths_(lengths), lives_(lives) {}
  const Totals& totals() const { return totals_; }  // of what was read

  // Also says how many of the passages live.
  bool read(FrameReader& in, std::uint32_t term, PostingList& list, std::uint32_t& passages) {
    mixed_ = mixed(term);
    passages_ = 0;
    last_ = kNoOrdinal;
    const std::uint32_t tail_count = in.number();
    const auto tail = in.bytes(in.number());
    const std::uint32_t blocks = in.number();
    if (!in.ok() || tail_count >= kBlockSize || blocks > in.left()) return false;
    sealed_.blocks.clear();
    sealed_.data.clear();
    sealed_.positions.clear();
    sealed_.best = {};
    for (std::uint32_t i = 0; i < blocks; ++i) {
      if (!read_block(in)) return false;
    }
    if (blocks > 0) list.sealed_ = std::make_unique<PostingList::Sealed>(sealed_);  // a copy has no room for more
    if (!check_tail(tail, tail_count)) return false;
    if (!tail.empty()) list.tail_.append(tail.data(), static_cast<std::uint32_t>(tail.size()));
    list.tail_count_ = tail_count;
    list.last_ = last_;
    passages = passages_;
    return true;
  }

 private:
  bool count(std::uint32_t ordinal, std::uint32_t frequency) {
    if (lives_.has(ordinal)) {
      totals_.add(mixed_, ordinal);
      totals_.words += frequency;
      ++passages_;
    }
    return frequency != 0 && frequency <= lengths_[ordinal];
  }

  // Of one posting.
  static bool check_positions(FrameReader& in, std::uint32_t frequency) {
    std::uint64_t position = 0;
    for (std::uint32_t i = 0; i < frequency; ++i) position += in.number();
    return in.ok() && position <= SparseIndex::kMaxPassageWords;
  }

  bool read_block(FrameReader& in) {
    const auto bits = in.bytes(2);
    if (!in.ok() || bits[0] > 32 || bits[1] > 21) return false;
    const auto data = in.bytes(packed_size(bits[0]) + packed_size(bits[1]));
    const auto positions = in.bytes(in.number());
    if (!in.ok()) return false;
    std::array<std::uint32_t, kBlockSize> ordinals, frequencies;
    if (!read_ordinals(data, bits[0], ordinals)) return false;
    unpack(data.data() + packed_size(bits[0]), bits[1], frequencies.data());
    PostingBlock block;
    std::uint64_t words = 0;
    bool good = true;
    for (std::size_t i = 0; i < kBlockSize; ++i) {
      const std::uint32_t frequency = frequencies[i] + 1;
      good &= count(ordinals[i], frequency);
      block.best.add(frequency, lengths_[ordinals[i]]);
      words += frequency;
    }
    if (!good) return false;
    if (!few_short_positions(positions, words)) {
      FrameReader check(positions);
      for (const std::uint32_t frequency : frequencies)
        if (!check_positions(check, frequency + 1)) return false;
      if (!check.at_end()) return false;
    }
    block.last = last_ = ordinals.back();
    block.ordinal_bits = bits[0];
    block.frequency_bits = bits[1];
    block.data = static_cast<std::uint32_t>(sealed_.data.size());
    block.positions = static_cast<std::uint32_t>(sealed_.positions.size());
    sealed_.best.add(block.best);
    sealed_.blocks.push_back(block);
    sealed_.data.insert(sealed_.data.end(), data.begin(), data.end());
    sealed_.positions.insert(sealed_.positions.end(), positions.begin(), positions.end());
    return true;
  }

  // They ascend, and are of passages that there are.
  bool read_ordinals(std::span<const std::uint8_t> data, unsigned bits, std::array<std::uint32_t, kBlockSize>& ordinals) const {
    static_assert(kMaxPassages + (kBlockSize << 23) < std::size_t{1} << 32);
    if (bits < 24) {  // cannot come round
      unpack_ascending(data.data(), bits, last_, ordinals.data());
    } else {
      std::array<std::uint32_t, kBlockSize> steps;
      unpack(data.data(), bits, steps.data());
      std::uint64_t next = static_cast<std::uint32_t>(last_ + 1);
      for (std::size_t i = 0; i < kBlockSize; ++i, ++next) {
        next += steps[i];
        if (next >= lengths_.size()) return false;
        ordinals[i] = static_cast<std::uint32_t>(next);
      }
    }
    return ordinals.back() < lengths_.size();
  }

  bool check_tail(std::span<const std::uint8_t> tail, std::uint32_t count_of_it) {
    FrameReader postings(tail);
    for (std::uint32_t i = 0; i < count_of_it; ++i) {
      const std::uint32_t step = postings.number();
      const std::uint64_t ordinal = static_cast<std::uint64_t>(static_cast<std::uint32_t>(last_ + 1)) + step - 1;
      const std::uint32_t frequency = postings.number();
      if (step == 0 || !postings.ok() || ordinal >= lengths_.size() || !count(static_cast<std::uint32_t>(ordinal), frequency) || !check_positions(postings, frequency)) return false;
      last_ = static_cast<std::uint32_t>(ordinal);
    }
    return postings.at_end();
  }

  const std::vector<std::uint32_t>& lengths_;
  const Lives& lives_;
  Totals totals_;
  PostingList::Sealed sealed_;  // kept, so that lists of any size take memory once
  std::uint64_t mixed_ = 0;
  std::uint32_t passages_ = 0, last_ = kNoOrdinal;
};

class SparseSnapshot {
 public:
  static void write(const SparseIndex& index, FrameWriter& out) {
    const auto passages = static_cast<std::uint32_t>(index.passages_.size()), terms = static_cast<std::uint32_t>(index.terms_.size());
    out.frame([&] {
      out.number(passages);
      out.number(terms);
    });
    for (std::uint32_t first = 0; first < passages; first += kPassagesOfFrame) {
      out.frame([&] { write_passages(index, first, std::min(kPassagesOfFrame, passages - first), out); });
    }
    out.frame([&] {
      for (std::uint32_t term = 0; term < terms; ++term) {
        const std::string_view name = index.dictionary_.is_free(term) ? std::string_view() : index.dictionary_.name(term);
        out.byte(static_cast<std::uint8_t>(name.size()));
        out.bytes(name.data(), name.size());
      }
    });
    for (std::uint32_t term = 0; term < terms;) term = write_lists(index, term, out);
  }

  static Result<SparseIndex> read(FrameReader& in, int threads) {
    Frame head, names;
    if (!read_frame(in, head) || !head.holds()) return fail(broken("its checksum is wrong"));
    FrameReader numbers(head.bytes);
    const std::uint32_t passages = numbers.number(), terms = numbers.number();
    std::vector<Frame> of_passages, of_lists;
    if (!numbers.at_end() || passages > std::min(in.left(), kMaxPassages) || terms > in.left() || !read_frames(in, passages, of_passages) || !read_frame(in, names) ||
        terms > names.bytes.size() || !read_frames(in, terms, of_lists) || !in.at_end())
      return fail(broken("it has not what it says"));

    SparseIndex index;
    index.passages_.resize(passages);
    index.lengths_.resize(passages);
    std::vector<Totals> said(of_passages.size()), found(of_lists.size());
    if (!in_parallel(of_passages.size(), threads, [&](std::size_t i) { return read_passages(of_passages[i], terms, index, said[i]); })) return fail(broken("a passage"));
    Lives lives;
    STOA_CHECK(take_passages(index, lives));

    index.terms_.resize(terms);
    // The dictionary is one piece of work, and begun first.
    const auto work = [&](std::size_t i) { return i == 0 ? read_names(names, terms, index.dictionary_) : read_lists(of_lists[i - 1], lives, index, found[i - 1]); };
    if (!in_parallel(of_lists.size() + 1, threads, work)) return fail(broken("a term or its postings"));
    for (std::uint32_t term = 0; term < terms; ++term) {
      if (index.dictionary_.is_free(term) && !index.terms_[term].list.empty()) return fail(broken("postings of no term"));
    }
    Totals all_said, all_found;
    for (const Totals& part : said) all_said.add(part);
    for (const Totals& part : found) all_found.add(part);
    if (all_said.pairs != all_found.pairs || all_said.words != all_found.words) return fail(broken("passages and postings differ"));
    return index;
  }

 private:
  static void write_passages(const SparseIndex& index, std::uint32_t first, std::uint32_t count, FrameWriter& out) {
    out.number(count);
    for (std::uint32_t ordinal = first; ordinal < first + count; ++ordinal) {
      const auto& passage = index.passages_[ordinal];
      out.number(passage.slot + 1);  // 0: dead
      out.number(index.lengths_[ordinal]);
      if (passage.slot == SparseIndex::kNoSlot) continue;
      const std::uint8_t* in = passage.terms.get();
      const std::uint32_t terms = get_varint(in);
      out.bytes(passage.terms.get(), static_cast<std::size_t>(skip_varints(in, terms) - passage.terms.get()));
    }
  }

  // A frame of lists from this term on. Returns the term that follows.
  static std::uint32_t write_lists(const SparseIndex& index, std::uint32_t first, FrameWriter& out) {
    std::string bytes;
    FrameWriter lists(bytes);
    std::uint32_t term = first;
    for (; term < index.terms_.size() && lists.size() < kBytesOfFrame; ++term) {
      if (index.is_rewritten(term)) {
        ListFile::write(with_own_numbers(index, term), lists);
      } else {
        ListFile::write(index.terms_[term].list, lists);
      }
    }
    out.frame([&] {
      out.number(term - first);
      out.bytes(bytes.data(), bytes.size());
    });
    return term;
  }

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

  static bool read_passages(const Frame& frame, std::uint32_t terms, SparseIndex& index, Totals& said) {
    if (!frame.holds()) return false;
    FrameReader in(frame.bytes);
    in.number();  // how many, as the frame knows
    for (std::uint32_t ordinal = frame.first; ordinal < frame.first + frame.count; ++ordinal) {
      const std::uint32_t slot = in.number() - 1;
      const std::uint32_t length = index.lengths_[ordinal] = in.number();
      if (length > SparseIndex::kMaxPassageWords) return false;
      if (slot == SparseIndex::kNoSlot) continue;
      const std::uint8_t* begin = in.at();
      const std::uint32_t count = in.number();
      if (!in.ok() || slot > SparseIndex::kMaxSlot || count > length) return false;
      std::uint64_t term = 0;
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t step = in.number();
        term += step;
        if ((i > 0 && step == 0) || term >= terms) return false;
        said.add(mixed(static_cast<std::uint32_t>(term)), ordinal);
      }
      if (!in.ok()) return false;
      auto own = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(in.at() - begin));
      std::copy(begin, in.at(), own.get());
      index.passages_[ordinal] = {slot, std::move(own)};
      said.words += length;
    }
    return in.at_end();
  }

  // What they amount to together.
  static Status take_passages(SparseIndex& index, Lives& lives) {
    lives.bits.resize((index.passages_.size() + 63) / 64);
    for (std::uint32_t ordinal = 0; ordinal < index.passages_.size(); ++ordinal) {
      const std::uint32_t slot = index.passages_[ordinal].slot;
      if (slot == SparseIndex::kNoSlot) {
        lives.all = false;
        index.dead_words_ += index.lengths_[ordinal];
        continue;
      }
      if (index.contains(slot)) return fail(broken("two passages have one slot"));
      index.set_ordinal(slot, ordinal);
      lives.bits[ordinal / 64] |= std::uint64_t{1} << (ordinal % 64);
      ++index.live_;
      index.words_ += index.lengths_[ordinal];
    }
    if (index.words_ + index.dead_words_ > SparseIndex::kMaxWords) return fail(broken("it has too many words"));
    return {};
  }

  static bool read_names(const Frame& frame, std::uint32_t terms, TermDictionary& dictionary) {
    if (!frame.holds()) return false;
    FrameReader in(frame.bytes);
    for (std::uint32_t term = 0; term < terms; ++term) {
      const auto size = in.bytes(1);
      const auto name = in.bytes(size.empty() ? 0 : size[0]);
      if (!in.ok() || !dictionary.restore({reinterpret_cast<const char*>(name.data()), name.size()})) return false;
    }
    dictionary.order_restored();
    return in.at_end();
  }

  static bool read_lists(const Frame& frame, const Lives& lives, SparseIndex& index, Totals& found) {
    if (!frame.holds()) return false;
    FrameReader in(frame.bytes);
    in.number();  // how many, as the frame knows
    ListFile lists(index.lengths_, lives);
    for (std::uint32_t term = frame.first; term < frame.first + frame.count; ++term) {
      if (!lists.read(in, term, index.terms_[term].list, index.terms_[term].passages)) return false;
    }
    found = lists.totals();
    return in.at_end();
  }
};

std::string SparseIndex::save() const {
  std::string bytes;
  FrameWriter out(bytes);
  out.bytes(kMagic.data(), kMagic.size());
  out.number(kVersion);
  SparseSnapshot::write(*this, out);
  return bytes;
}

Result<SparseIndex> SparseIndex::load(std::string_view bytes, int threads) {
  if (!bytes.starts_with(kMagic)) return fail(broken("it does not begin like one"));
  FrameReader in(bytes.substr(kMagic.size()));
  const std::uint32_t version = in.number();
  if (in.ok() && version != kVersion) return fail(error(ErrorCode::kUnsupported, "the snapshot of a text index is of version {}, not {}", version, kVersion));
  return SparseSnapshot::read(in, threads);
}

}  // namespace stoa::data

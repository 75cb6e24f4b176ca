#include "data/sources/index_snapshots.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <system_error>
#include <vector>

#include "base/log.h"
#include "base/parallel.h"
#include "infra/crypto/random.h"
#include "infra/files/files.h"
#include "infra/files/mapped_file.h"

namespace stoa::data {
namespace {

constexpr std::string_view kMagic = "stoaidx1";
constexpr std::size_t kNonce = 16;
constexpr std::size_t kPieceBytes = 4u << 20;    // of plain bytes, sealed together
constexpr unsigned kMaxThreads = 16;
constexpr std::string_view kEnding = ".snapshot", kUnfinished = ".unfinished";

// A piece opens only in its place of its file, and the last one only as the last.
std::string context_of(const std::string& collection, const std::string& model, ByteSpan nonce, std::uint64_t piece, bool last) {
  std::string name;
  for (const std::byte byte : nonce) name += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return fmt::format("index:{}:{}:{}:{}{}", collection, name, piece, last ? "last:" : "", model);
}

class SealingSink {
 public:
  SealingSink(const infra::File& file, const governance::ProjectKeys& keys, const std::string& collection, const std::string& model)
      : file_(file), keys_(keys), collection_(collection), model_(model) {}

  Status begin() {
    STOA_TRY(random, infra::random_bytes(kNonce));
    nonce_ = std::move(random);
    STOA_CHECK(file_.write(as_bytes(kMagic)));
    return file_.write(nonce_);
  }
  Status add(ByteSpan bytes) {
    while (!bytes.empty()) {
      const auto some = bytes.first(std::min(bytes.size(), kPieceBytes - piece_.size()));
      piece_.insert(piece_.end(), some.begin(), some.end());
      bytes = bytes.subspan(some.size());
      if (piece_.size() == kPieceBytes) STOA_CHECK(flush(false));
    }
    return {};
  }
  Status end() { return flush(true); }

 private:
  Status flush(bool last) {
    STOA_TRY(sealed, keys_.seal(context_of(collection_, model_, nonce_, number_++, last), piece_));
    const auto size = static_cast<std::uint32_t>(sealed.size());
    STOA_CHECK(file_.write(std::as_bytes(std::span(&size, 1))));
    STOA_CHECK(file_.write(sealed));
    piece_.clear();
    return {};
  }

  const infra::File& file_;
  const governance::ProjectKeys& keys_;
  const std::string &collection_, &model_;
  Bytes nonce_, piece_;
  std::uint64_t number_ = 0;
};

// Memory in huge pages, where the system has some: opening a snapshot goes through all of it once or twice.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : bytes_(static_cast<std::byte*>(::operator new(size, std::align_val_t{kHugePage}))), size_(size) { ::madvise(bytes_.get(), size, MADV_HUGEPAGE); }
  std::span<std::byte> bytes() const { return {bytes_.get(), size_}; }

 private:
  static constexpr std::size_t kHugePage = 2u << 20;
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t{kHugePage}); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  std::size_t size_ = 0;
};

// A file as it is mapped: its pieces are opened by several threads from where they lie to where they are read.
class SealedSource : public SnapshotSource {
 public:
  SealedSource(ByteSpan file, const governance::ProjectKeys& keys, std::string collection, std::string model, int threads)
      : file_(file), keys_(keys), collection_(std::move(collection)), model_(std::move(model)), threads_(threads) {}

  Status begin() {
    if (file_.size() < kMagic.size() + kNonce) return fail(damaged());
    STOA_CHECK(infra::read_pages(file_.first(kMagic.size() + kNonce)));
    if (!as_text(file_).starts_with(kMagic)) return fail(damaged());
    std::ranges::copy(file_.subspan(kMagic.size(), kNonce), nonce_.begin());
    for (ByteSpan rest = file_.subspan(kMagic.size() + kNonce); !rest.empty();) {
      std::uint32_t size = 0;
      if (rest.size() < sizeof size) return fail(damaged());
      STOA_CHECK(infra::read_pages(rest.first(sizeof size)));
      std::memcpy(&size, rest.data(), sizeof size);
      rest = rest.subspan(sizeof size);
      // All but the last are full.
      if (size < governance::kSealedOverhead || size > kPieceBytes + governance::kSealedOverhead || size > rest.size() ||
          (size < rest.size() && size != kPieceBytes + governance::kSealedOverhead))
        return fail(damaged());
      pieces_.push_back(rest.first(size));
      left_ += size - governance::kSealedOverhead;
      rest = rest.subspan(size);
    }
    return pieces_.empty() ? Status(fail(damaged())) : Status();
  }

  Result<ByteSpan> take(std::size_t count) override {
    if (count > left_) return fail(damaged());
    if (count > opened_.size()) STOA_CHECK(open_more(count));
    const ByteSpan taken = opened_.first(count);
    opened_ = opened_.subspan(count);
    left_ -= count;
    return taken;
  }
  std::uint64_t left() const override { return left_; }

 private:
  Error damaged() const { return error(ErrorCode::kDataLoss, "the file is no whole snapshot"); }

  // What is open and was not taken yet, followed by as many pieces as make `count` bytes, and by no fewer than there are threads.
  Status open_more(std::size_t count) {
    const std::size_t missing = count - opened_.size(), first = next_;
    const std::size_t pieces = std::min(pieces_.size() - first, std::max((missing + kPieceBytes - 1) / kPieceBytes, static_cast<std::size_t>(threads_)));
    std::size_t more = 0;
    for (const ByteSpan piece : std::span(pieces_).subspan(first, pieces)) more += piece.size() - governance::kSealedOverhead;
    const std::size_t kept = opened_.size();
    if (kept + more > buffer_.bytes().size()) {
      Buffer larger(kept + more);
      std::ranges::copy(opened_, larger.bytes().begin());
      buffer_ = std::move(larger);
    } else if (kept > 0) {
      std::memmove(buffer_.bytes().data(), opened_.data(), kept);
    }
    opened_ = buffer_.bytes().first(kept);
    const auto room = buffer_.bytes().subspan(kept, more);
    std::vector<Status> results(pieces);
    const bool all = in_parallel(pieces, threads_, [&](std::size_t i) {
      const std::size_t number = first + i;
      const auto plain = room.subspan(i * kPieceBytes, pieces_[number].size() - governance::kSealedOverhead);
      results[i] = infra::read_pages(pieces_[number]);
      if (results[i]) results[i] = keys_.open(context_of(collection_, model_, nonce_, number, number + 1 == pieces_.size()), pieces_[number], plain);
      return results[i].has_value();
    });
    if (!all) return std::move(*std::ranges::find_if_not(results, &Status::has_value));
    next_ += pieces;
    opened_ = buffer_.bytes().first(kept + more);
    return {};
  }

  const ByteSpan file_;
  const governance::ProjectKeys& keys_;
  const std::string collection_, model_;
  const int threads_;
  std::array<std::byte, kNonce> nonce_{};
  std::vector<ByteSpan> pieces_;
  std::size_t next_ = 0;     // piece
  Buffer buffer_;            // used again and again: memory that is new costs as much as what is opened into it
  ByteSpan opened_;          // of buffer_, what was not taken yet
  std::uint64_t left_ = 0;   // plain bytes that were not taken yet
};

// What is thrown, as an error: memory is refused most likely, since parts of the index are copied to be written.
Status without_throwing(const std::function<Status()>& action) {
  try {
    return action();
  } catch (const std::exception& thrown) {
    return fail(ErrorCode::kResourceExhausted, "{}", thrown.what());
  }
}

}  // namespace

IndexSnapshots::IndexSnapshots(std::filesystem::path folder, Index& index, governance::Sealer& sealer, IndexSnapshotOptions options)
    : folder_(std::move(folder)), index_(index), sealer_(sealer), options_(options) {}

IndexSnapshots::~IndexSnapshots() { stop(); }

Result<std::unique_ptr<IndexSnapshots>> IndexSnapshots::open(std::filesystem::path folder, Index& index, governance::Sealer& sealer, IndexSnapshotOptions options) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return fail(ErrorCode::kUnavailable, "{}: the folder cannot be made: {}", folder.string(), failed.message());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed))
    if (entry.path().extension() == kUnfinished) std::filesystem::remove(entry.path(), failed);
  return std::unique_ptr<IndexSnapshots>(new IndexSnapshots(std::move(folder), index, sealer, options));
}

std::filesystem::path IndexSnapshots::file_of(const std::string& collection) const { return folder_ / (collection + std::string(kEnding)); }

bool IndexSnapshots::load(const governance::ProjectKeys& keys, const std::string& collection) {
  const auto read = [&]() -> Status {
    STOA_TRY(file, infra::MappedFile::open(file_of(collection)));
    const int threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads));
    SealedSource source(file.bytes(), keys, collection, index_.embedding_model(collection), threads);
    STOA_CHECK(source.begin());
    return index_.load(collection, source, threads);
  };
  const Status done = read();
  if (!done && done.error().code != ErrorCode::kNotFound)
    log(LogLevel::kInfo, "a collection is indexed from its rows", {{"collection", collection}, {"why", done.error().message}});
  return done.has_value();
}

Status IndexSnapshots::save(const governance::ProjectKeys& keys, const std::string& collection) {
  const std::string model = index_.embedding_model(collection);
  std::filesystem::path unfinished = file_of(collection);
  unfinished.replace_extension(kUnfinished);
  const auto write = [&]() -> Status {
    infra::File file(unfinished, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.is_open()) return fail(infra::file_error(unfinished, "make"));
    SealingSink sink(file, keys, collection, model);
    STOA_CHECK(sink.begin());
    return index_.save(collection, [&](ByteSpan bytes) -> Status {
      if (!bytes.empty()) return sink.add(bytes);
      STOA_CHECK(sink.end());
      STOA_CHECK(file.sync());
      STOA_CHECK(file.close());
      std::error_code failed;
      std::filesystem::rename(unfinished, file_of(collection), failed);
      if (failed) return fail(ErrorCode::kUnavailable, "{}: the snapshot cannot be put in its place: {}", file_of(collection).string(), failed.message());
      return infra::sync_folder(folder_);
    });
  };
  Status written = without_throwing(write);
  std::error_code failed;
  if (!written) std::filesystem::remove(unfinished, failed);
  if (!written && written.error().code == ErrorCode::kNotFound) remove(collection);  // it went meanwhile, and whoever removed it may have looked for the file before it was there
  return written;
}

void IndexSnapshots::remove(const std::string& collection) {
  std::error_code failed;
  std::filesystem::remove(file_of(collection), failed);
}

void IndexSnapshots::keep_only(const std::set<std::string>& collections) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, failed))
    if (entry.path().extension() == kEnding && !collections.contains(entry.path().stem().string())) std::filesystem::remove(entry.path(), failed);
}

void IndexSnapshots::start() {
  keeper_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, options_.every, [this] { return stopping_; })) {
      lock.unlock();
      write_changed(options_.changed);
      lock.lock();
    }
  });
}

void IndexSnapshots::stop() {
  if (!keeper_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  keeper_.join();
  write_changed(0);
}

void IndexSnapshots::write_changed(double share) {
  const auto write = [&](const Index::CollectionState& collection) -> Status {
    if (collection.passages < options_.min_passages || collection.changes == 0 || collection.id.contains(kMadeBeside)) return {};
    if (static_cast<double>(collection.changes) < share * static_cast<double>(collection.passages)) return {};
    STOA_TRY(keys, sealer_.project(collection.project));
    return save(keys, collection.id);
  };
  const auto tell = [](const std::string& collection, const Status& failed) {
    log(LogLevel::kWarning, "a collection has no new snapshot; the next start takes longer", {{"collection", collection}, {"why", failed.error().message}});
  };
  std::vector<Index::CollectionState> collections;
  const Status listed = without_throwing([&]() -> Status {
    collections = index_.collections();
    return {};
  });
  if (!listed) tell("all", listed);
  for (const auto& collection : collections)
    if (const Status written = without_throwing([&] { return write(collection); }); !written) tell(collection.id, written);
}

}  // namespace stoa::data

#include "data/sources/index_snapshots.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/log.h"
#include "infra/crypto/random.h"
#include "infra/files/files.h"

namespace stoa::data {
namespace {

constexpr std::string_view kMagic = "stoaidx1";
constexpr std::size_t kNonce = 16;
constexpr std::size_t kPieceBytes = 4u << 20;    // of plain bytes, sealed together
constexpr std::size_t kSealOverhead = 4096;      // more than a seal adds
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

class SealedSource : public SnapshotSource {
 public:
  SealedSource(const infra::File& file, std::uint64_t size, const governance::ProjectKeys& keys, const std::string& collection, const std::string& model)
      : file_(file), size_(size), keys_(keys), collection_(collection), model_(model) {}

  Status begin() {
    STOA_TRY(head, file_.read_at(0, kMagic.size() + kNonce));
    if (head.size() != kMagic.size() + kNonce || as_text(head).substr(0, kMagic.size()) != kMagic) return fail(damaged());
    nonce_.assign(head.begin() + static_cast<std::ptrdiff_t>(kMagic.size()), head.end());
    at_ = head.size();
    return {};
  }
  Status read(std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      if (taken_ == piece_.size()) STOA_CHECK(next());
      const std::size_t some = std::min(bytes.size(), piece_.size() - taken_);
      std::memcpy(bytes.data(), piece_.data() + taken_, some);
      taken_ += some;
      bytes = bytes.subspan(some);
    }
    return {};
  }
  std::uint64_t left() const override { return size_ - at_ + piece_.size() - taken_; }

 private:
  Error damaged() const { return error(ErrorCode::kDataLoss, "{} is no whole snapshot", file_.path().string()); }
  Status next() {
    std::uint32_t size = 0;
    STOA_TRY(head, file_.read_at(at_, sizeof size));
    if (last_ || head.size() != sizeof size) return fail(damaged());
    std::memcpy(&size, head.data(), sizeof size);
    if (size > kPieceBytes + kSealOverhead) return fail(damaged());
    STOA_TRY(sealed, file_.read_at(at_ + sizeof size, size));
    if (sealed.size() != size) return fail(damaged());
    at_ += sizeof size + size;
    last_ = at_ == size_;
    STOA_TRY(opened, keys_.open(context_of(collection_, model_, nonce_, number_++, last_), sealed));
    piece_ = std::move(opened);
    taken_ = 0;
    return {};
  }

  const infra::File& file_;
  const std::uint64_t size_;
  const governance::ProjectKeys& keys_;
  const std::string &collection_, &model_;
  Bytes nonce_, piece_;
  std::size_t taken_ = 0;
  std::uint64_t at_ = 0, number_ = 0;
  bool last_ = false;
};

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
  const std::string model = index_.embedding_model(collection);
  const infra::File file(file_of(collection), O_RDONLY);
  std::error_code failed;
  const auto size = std::filesystem::file_size(file.path(), failed);
  if (!file.is_open() || failed) return false;
  const auto read = [&]() -> Status {
    SealedSource source(file, size, keys, collection, model);
    STOA_CHECK(source.begin());
    return index_.load(collection, source, static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 16u)));
  };
  const Status done = read();
  if (!done) log(LogLevel::kInfo, "a collection is indexed from its rows", {{"collection", collection}, {"why", done.error().message}});
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
    STOA_CHECK(index_.save(collection, [&](ByteSpan bytes) { return sink.add(bytes); }));
    STOA_CHECK(sink.end());
    STOA_CHECK(file.sync());
    return file.close();
  };
  std::error_code failed;
  if (auto written = write(); !written) {
    std::filesystem::remove(unfinished, failed);
    return written;
  }
  std::filesystem::rename(unfinished, file_of(collection), failed);
  if (failed) return fail(ErrorCode::kUnavailable, "{}: the snapshot cannot be put in its place: {}", file_of(collection).string(), failed.message());
  return infra::sync_folder(folder_);
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
  for (const auto& collection : index_.collections()) {
    if (collection.passages < options_.min_passages || collection.changes == 0) continue;
    if (static_cast<double>(collection.changes) < share * static_cast<double>(collection.passages)) continue;
    auto keys = sealer_.project(collection.project);
    const Status saved = keys ? save(*keys, collection.id) : Status(fail(std::move(keys).error()));
    if (!saved) log(LogLevel::kWarning, "a collection has no new snapshot; the next start takes longer", {{"collection", collection.id}, {"why", saved.error().message}});
  }
}

}  // namespace stoa::data

#include "models/quantize/quantize.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "models/compute/dequantize.h"
#include "models/compute/weights.h"
#include "models/formats/gguf.h"
#include "models/formats/gguf_writer.h"
#include "models/quantize/blocks.h"

namespace stoa::models {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSlabValues = 4 << 20;  // converted before they are written
constexpr std::uint32_t kQuantizationVersion = 2;

// A file that takes its place only when it is whole.
class OutputFile {
 public:
  static Result<OutputFile> create(const fs::path& path) {
    OutputFile file;
    file.path_ = path;
    file.temporary_ = path.string() + ".partial-" + std::to_string(::getpid());
    file.descriptor_ = ::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file.descriptor_ < 0) return fail(file.system_error("create"));
    return file;
  }
  OutputFile(OutputFile&& other) noexcept
      : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})), descriptor_(std::exchange(other.descriptor_, -1)), bytes_(other.bytes_) {}
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  std::uint64_t bytes() const { return bytes_; }

  Status write(std::span<const std::byte> data) {
    bytes_ += data.size();
    while (!data.empty()) {
      const ssize_t written = ::write(descriptor_, data.data(), data.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return fail(system_error("write"));
      data = data.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }
  Status pad() {
    constexpr std::byte kZeros[GgufWriter::kAlignment] = {};
    return write(std::span(kZeros).first((GgufWriter::kAlignment - bytes_ % GgufWriter::kAlignment) % GgufWriter::kAlignment));
  }
  Status commit() {
    if (::fsync(descriptor_) != 0 || ::close(std::exchange(descriptor_, -1)) != 0) return fail(system_error("sync"));
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return fail(system_error("rename"));
    temporary_.clear();
    return {};
  }

 private:
  OutputFile() = default;
  Error system_error(std::string_view doing) const {
    const int number = errno;
    const bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
    return error(full ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable, "cannot {} {}: {}", doing, temporary_, std::strerror(number))
        .with_hint(full ? "free space there, or write to another disk; nothing was left behind" : "check that the folder exists and can be written");
  }

  fs::path path_;
  std::string temporary_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
};

struct Job {
  const TensorView* tensor;
  TensorChoice choice;
  std::uint64_t bytes = 0;
};

Result<std::vector<Job>> plan(const GgufFile& file, const QuantizeOptions& options) {
  STOA_TRY(parts, file.get_int_or("split.count", 1));
  if (parts > 1)
    return fail(error(ErrorCode::kUnsupported, "{} is one of {} parts of a split model", file.name(), parts).with_hint("merge the parts first"));
  STOA_TRY(facts, ModelFacts::of(file));
  std::vector<Job> jobs;
  for (const auto& tensor : file.tensors()) {
    Job job{&tensor, {tensor.dtype, {}}, tensor.data.size()};
    if (is_quantizable(tensor)) {
      job.choice = choose_type(options.recipe, facts, tensor, options.pure);
      if (job.choice.dtype != tensor.dtype) {
        if (!can_compute(tensor.dtype))
          return fail(ErrorCode::kUnsupported, "{}: tensor {} is {}, which cannot be converted", file.name(), tensor.name, dtype_info(tensor.dtype).name);
        if (dtype_info(tensor.dtype).block_values > 1 && job.choice.dtype != DType::kF32 && !options.requantize)
          return fail(error(ErrorCode::kInvalidArgument, "{}: tensor {} is quantised already ({})", file.name(), tensor.name, dtype_info(tensor.dtype).name)
                          .with_hint("start from the F32, F16 or BF16 file, or accept the double loss with --requantize"));
      }
      job.bytes = dtype_bytes(job.choice.dtype, static_cast<std::size_t>(tensor.elements()));
    }
    jobs.push_back(std::move(job));
  }
  return jobs;
}

Result<std::string> head_of(const GgufFile& file, const Recipe& recipe, std::span<const Job> jobs) {
  GgufWriter writer;
  for (const auto& entry : file.metadata()) {
    // Written anew below; the alignment of the output is the default.
    if (entry.key == "general.file_type" || entry.key == "general.quantization_version" || entry.key == "general.alignment") continue;
    if (const Status added = writer.add_entry(entry); !added) return fail(Error(added.error()).in(file.name()));
  }
  writer.add_u32("general.file_type", recipe.file_type);
  writer.add_u32("general.quantization_version", kQuantizationVersion);
  for (const auto& job : jobs) writer.declare_tensor(job.tensor->name, job.choice.dtype, job.tensor->shape, job.bytes);
  return writer.head();
}

class Quantizer {
 public:
  Quantizer(const QuantizeOptions& options, ThreadPool& threads, OutputFile& out, QuantizeProgress state)
      : options_(options), threads_(threads), out_(out), state_(state), floats_(static_cast<std::size_t>(threads.threads())) {}

  Status write(const std::string& file, const Job& job) {
    state_.tensor = job.tensor->name;
    const bool same = job.choice.dtype == job.tensor->dtype;
    STOA_CHECK(same ? copy(*job.tensor) : convert(file, job));
    STOA_CHECK(out_.pad());
    ++state_.done;
    return report();
  }

 private:
  Status report() {
    state_.bytes = out_.bytes();
    if (options_.progress && !options_.progress(state_)) return fail(ErrorCode::kCancelled, "interrupted; nothing was left behind");
    return {};
  }

  Status copy(const TensorView& tensor) {
    constexpr std::size_t kPiece = 16 << 20;
    for (std::size_t at = 0; at < tensor.data.size(); at += kPiece) {
      STOA_CHECK(report());
      STOA_CHECK(out_.write(tensor.data.subspan(at, std::min(kPiece, tensor.data.size() - at))));
    }
    return {};
  }

  Status convert(const std::string& file, const Job& job) {
    const TensorView& tensor = *job.tensor;
    const std::int64_t columns = tensor.shape.back(), rows = tensor.elements() / columns;
    const std::size_t width = static_cast<std::size_t>(columns);
    const std::size_t bytes_in = dtype_bytes(tensor.dtype, width), bytes_out = dtype_bytes(job.choice.dtype, width);
    const std::int64_t slab = std::clamp<std::int64_t>(kSlabValues / columns, 1, rows);
    packed_.resize(static_cast<std::size_t>(slab) * bytes_out);
    for (auto& row : floats_) row.resize(width);
    for (std::int64_t first = 0; first < rows; first += slab) {
      STOA_CHECK(report());
      const std::int64_t count = std::min(slab, rows - first);
      std::atomic<std::int64_t> bad = -1;
      threads_.parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
        auto& row = floats_[static_cast<std::size_t>(thread)];
        for (std::int64_t r = begin; r < end; ++r) {
          dequantize_row(tensor.dtype, tensor.data.data() + static_cast<std::size_t>(first + r) * bytes_in, static_cast<int>(columns), row.data());
          if (representable(job.choice.dtype, row)) quantize_row(job.choice.dtype, row, packed_.data() + static_cast<std::size_t>(r) * bytes_out);
          else bad = first + r;
        }
      });
      if (bad >= 0)
        return fail(error(ErrorCode::kInvalidArgument, "{}: row {} of tensor {} has a value that is not finite, or beyond the range of {}", file, bad.load(),
                          tensor.name, dtype_info(job.choice.dtype).name)
                        .with_hint("BF16 and F32 hold large values; where a value is NaN or infinite, the file is damaged"));
      STOA_CHECK(out_.write(std::span(packed_).first(static_cast<std::size_t>(count) * bytes_out)));
    }
    return {};
  }

  const QuantizeOptions& options_;
  ThreadPool& threads_;
  OutputFile& out_;
  QuantizeProgress state_;
  std::vector<std::vector<float>> floats_;  // a row for each thread
  std::vector<std::byte> packed_;
};

Status check_room(const fs::path& output, std::uint64_t bytes) {
  std::error_code problem;
  const auto folder = output.has_parent_path() ? output.parent_path() : fs::path(".");
  const auto room = fs::space(folder, problem);
  if (problem || room.available >= bytes) return {};  // where the system does not tell, writing will
  return fail(error(ErrorCode::kResourceExhausted, "{} would take {} MiB, and {} has {} MiB left", output.string(), bytes >> 20, folder.string(), room.available >> 20)
                  .with_hint("free space there, or write to another disk"));
}

}  // namespace

Result<QuantizeReport> quantize_file(const fs::path& input, const fs::path& output, const QuantizeOptions& options, ThreadPool& threads) {
  std::error_code ignored;
  if (fs::equivalent(input, output, ignored))
    return fail(error(ErrorCode::kInvalidArgument, "{} is both input and output", input.string()).with_hint("name another output file"));
  if (fs::exists(output, ignored) && !options.force)
    return fail(error(ErrorCode::kConflict, "{} exists already", output.string()).with_hint("name another output file, or replace it with --force"));
  if (fs::is_directory(output, ignored)) return fail(ErrorCode::kInvalidArgument, "{} is a folder, not a file to write", output.string());
  STOA_TRY(file, GgufFile::open(input));
  STOA_TRY(jobs, plan(file, options));
  STOA_TRY(head, head_of(file, options.recipe, jobs));

  QuantizeReport report;
  std::int64_t weights = 0;
  report.bytes_out = head.size();
  for (const auto& job : jobs) {
    constexpr std::uint64_t kMask = GgufWriter::kAlignment - 1;
    report.bytes_out += (job.bytes + kMask) & ~kMask;
    report.tensors.push_back({job.tensor->name, job.tensor->dtype, job.choice.dtype, job.bytes, job.choice.note});
    weights += job.tensor->elements();
  }
  report.bytes_in = fs::file_size(input, ignored);
  report.bits_per_weight = weights == 0 ? 0 : 8 * static_cast<double>(report.bytes_out) / static_cast<double>(weights);
  STOA_CHECK(check_room(output, report.bytes_out));

  STOA_TRY(out, OutputFile::create(output));
  STOA_CHECK(out.write(std::as_bytes(std::span(head))));
  Quantizer quantizer(options, threads, out, {{}, 0, jobs.size(), 0, report.bytes_out});
  for (const auto& job : jobs) STOA_CHECK(quantizer.write(input.string(), job));
  STOA_CHECK(out.commit());
  return report;
}

}  // namespace stoa::models

// What the snapshots of text indexes are made of: numbers, and frames with a checksum each (docs/formats/sparse-index.md). Internal to this folder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/index/sparse/checksum.h"
#include "data/index/sparse/varint.h"

namespace stoa::data {

class FrameWriter {
 public:
  explicit FrameWriter(std::string& out) : out_(out) {}
  std::size_t size() const { return out_.size(); }
  void bytes(const void* data, std::size_t size) { out_.append(static_cast<const char*>(data), size); }
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void number(std::uint32_t value) {
    std::uint8_t buffer[kMaxVarint];
    bytes(buffer, static_cast<std::size_t>(put_varint(buffer, value) - buffer));
  }
  template <class Write>
  void frame(Write write) {
    std::uint64_t size = 0;
    const std::size_t at = out_.size();
    bytes(&size, sizeof size);
    write();
    size = out_.size() - at - sizeof size;
    std::memcpy(out_.data() + at, &size, sizeof size);
    const std::uint64_t sum = snapshot_checksum(std::string_view(out_).substr(at + sizeof size));
    bytes(&sum, sizeof sum);
  }

 private:
  std::string& out_;
};

// Reads what may be anything. After the first thing that is not there, everything is zero and empty, and ok() says so.
class FrameReader {
 public:
  explicit FrameReader(std::string_view in) : at_(reinterpret_cast<const std::uint8_t*>(in.data())), end_(at_ + in.size()) {}
  explicit FrameReader(std::span<const std::uint8_t> in) : at_(in.data()), end_(at_ + in.size()) {}
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && at_ == end_; }
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
    at_ = end_;
    return 0;
  }
  const std::uint8_t* at() const { return at_; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool ok_ = true;
};

struct Frame {
  std::string_view bytes;
  std::uint64_t sum = 0;
  std::uint32_t count = 0, first = 0;  // of the passages or terms in it, where it begins with that number

  bool holds() const { return snapshot_checksum(bytes) == sum; }
};

inline bool read_frame(FrameReader& in, Frame& frame) {
  std::uint64_t size = 0;
  if (const auto bytes = in.bytes(sizeof size); !bytes.empty()) std::memcpy(&size, bytes.data(), sizeof size);
  if (size > 0xFFFFFFFF) return false;  // places in lists and in the dictionary have 32 bits
  const auto content = in.bytes(size);
  frame.bytes = {reinterpret_cast<const char*>(content.data()), content.size()};
  if (const auto sum = in.bytes(sizeof frame.sum); !sum.empty()) std::memcpy(&frame.sum, sum.data(), sizeof frame.sum);
  return in.ok();
}

// As many frames as have so many things.
inline bool read_frames(FrameReader& in, std::uint32_t things, std::vector<Frame>& frames) {
  for (std::uint32_t first = 0; first < things;) {
    Frame& frame = frames.emplace_back();
    if (!read_frame(in, frame)) return false;
    frame.first = first;
    frame.count = FrameReader(frame.bytes).number();
    if (frame.count > std::min<std::size_t>(things - first, frame.bytes.size())) return false;
    first += frame.count;
  }
  return true;
}

}  // namespace stoa::data

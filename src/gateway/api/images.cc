#include "gateway/api/images.h"

#include <algorithm>
#include <array>

namespace stoa::gateway {
namespace {

constexpr std::size_t kMaxUrl = 8u << 10;
constexpr std::array<std::string_view, 4> kTypes{"image/png", "image/jpeg", "image/gif", "image/webp"};

std::unexpected<Error> wrong(std::string_view param, std::string_view expected) {
  return fail(error(ErrorCode::kInvalidArgument, "'{}' must be {}", param, expected).with_param(std::string(param)));
}

// Whether it is base64 is seen here, since it goes out as it is.
bool is_base64(std::string_view text) {
  const auto padding = text.size() - std::min(text.find('='), text.size());
  if (text.empty() || text.size() % 4 != 0 || padding > 2) return false;
  return std::ranges::all_of(text.substr(0, text.size() - padding), [](unsigned char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'; }) &&
         text.substr(text.size() - padding).find_first_not_of('=') == std::string_view::npos;
}

}  // namespace

Result<ChatImage> image_of_data(std::string_view media_type, std::string_view base64, std::string_view param) {
  if (std::ranges::find(kTypes, media_type) == kTypes.end()) return wrong(param, "an image of the type image/png, image/jpeg, image/gif or image/webp");
  if (!is_base64(base64)) return wrong(param, "an image in base64");
  return ChatImage{.media_type = std::string(media_type), .data = std::string(base64), .url = {}, .detail = {}};
}

Result<ChatImage> image_of_url(std::string_view url, std::string_view param) {
  constexpr std::string_view kData = "data:", kBase64 = ";base64,";
  if (url.starts_with(kData)) {
    const auto mark = url.find(kBase64);
    if (mark == std::string_view::npos) return wrong(param, "a link, or 'data:TYPE;base64,...'");
    return image_of_data(url.substr(kData.size(), mark - kData.size()), url.substr(mark + kBase64.size()), param);
  }
  const bool printable = std::ranges::all_of(url, [](unsigned char c) { return c > ' ' && c < 0x7f; });
  if (!(url.starts_with("https://") || url.starts_with("http://")) || url.size() > kMaxUrl || !printable) return wrong(param, "a link, or 'data:TYPE;base64,...'");
  return ChatImage{.media_type = {}, .data = {}, .url = std::string(url), .detail = {}};
}

}  // namespace stoa::gateway

#include "models/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"
#include "models/tokenizer/token_model.h"
#include "models/tokenizer/vocabulary.h"

namespace stoa::models {
namespace {

bool is_plain_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

// is_valid_utf8 with a stride over ASCII, the common case.
bool valid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word = 0;
    if (at + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080ull) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const auto rune = decode_rune(text.substr(at));
    if (!rune.valid) return false;
    at += rune.size;
  }
  return true;
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Vocabulary> vocabulary, std::unique_ptr<const TokenModel> model)
    : vocabulary_(std::move(vocabulary)), model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> out;
  encode(text, options, out);
  return out;
}

void Tokenizer::encode(std::string_view text, EncodeOptions options, std::vector<TokenId>& out) const {
  std::string repaired;
  if (!valid_utf8(text)) {
    // No vocabulary is trained on broken bytes: each becomes U+FFFD, as the reference implementations do.
    repaired = to_valid_utf8(text);
    text = repaired;
  }
  if (options.add_special) out.insert(out.end(), vocabulary_->prefix.begin(), vocabulary_->prefix.end());
  std::size_t begin = 0;
  for (std::size_t at = vocabulary_->next_candidate(text, 0); at < text.size(); at = vocabulary_->next_candidate(text, at)) {
    const MatchedToken* token = vocabulary_->match(text, at, options.parse_special);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t stop = at;
    while (token->strip_left && stop > begin && is_plain_space(text[stop - 1])) --stop;
    if (begin < stop) model_->encode(text.substr(begin, stop - begin), out);
    out.push_back(token->id);
    at += token->text.size();
    while (token->strip_right && at < text.size() && is_plain_space(text[at])) ++at;
    begin = at;
  }
  if (begin < text.size()) model_->encode(text.substr(begin), out);
  if (options.add_special) out.insert(out.end(), vocabulary_->suffix.begin(), vocabulary_->suffix.end());
}

std::string Tokenizer::token_bytes(TokenId id, bool show_special) const {
  std::string out;
  if (!vocabulary_->contains(id)) return out;
  if (is_control(id)) {
    if (show_special) out = vocabulary_->text(id);
  } else if (vocabulary_->type(id) == TokenType::kUserDefined) {
    out = vocabulary_->text(id);
  } else {
    model_->append_bytes(id, out);
  }
  return out;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool show_special) const {
  std::string out;
  bool first = true;
  for (const TokenId id : ids) {
    std::string piece = token_bytes(id, show_special);
    // The space that encoding put in front belongs to the sequence's first plain token.
    if (first && vocabulary_->contains(id) && !is_control(id)) {
      if (model_->adds_space() && piece.starts_with(' ')) piece.erase(0, 1);
      first = false;
    }
    out += piece;
  }
  return out;
}

std::int32_t Tokenizer::size() const { return vocabulary_->size(); }
TokenId Tokenizer::find(std::string_view text) const { return vocabulary_->find(text); }
std::string_view Tokenizer::token_text(TokenId id) const { return vocabulary_->contains(id) ? vocabulary_->text(id) : std::string_view(); }
const SpecialTokens& Tokenizer::special() const { return vocabulary_->special; }
const PairFrame* Tokenizer::pair_frame() const { return vocabulary_->pair ? &*vocabulary_->pair : nullptr; }
bool Tokenizer::is_control(TokenId id) const {
  return vocabulary_->contains(id) && (vocabulary_->type(id) == TokenType::kControl || vocabulary_->type(id) == TokenType::kUnknown);
}
bool Tokenizer::is_end_of_generation(TokenId id) const { return vocabulary_->ends_generation(id); }
std::string_view Tokenizer::kind() const { return model_->kind(); }
bool Tokenizer::adds_bos() const {
  return !vocabulary_->prefix.empty() && (vocabulary_->prefix.front() == vocabulary_->special.bos || vocabulary_->prefix.front() == vocabulary_->special.cls);
}
bool Tokenizer::adds_eos() const {
  return !vocabulary_->suffix.empty() && (vocabulary_->suffix.back() == vocabulary_->special.eos || vocabulary_->suffix.back() == vocabulary_->special.sep);
}

}  // namespace stoa::models

// Tokenizers from tokenizer.ggml.* metadata (keys: ggml's docs/gguf.md).
#include "models/tokenizer/tokenizer_loader.h"

#include <utility>

#include "models/tokenizer/byte_bpe.h"
#include "models/tokenizer/sentencepiece.h"
#include "models/tokenizer/wordpiece.h"

namespace stoa::models {
namespace {

Status read_tokens(const GgufFile& file, Vocabulary& vocabulary) {
  STOA_TRY(tokens, file.get_array("tokenizer.ggml.tokens", GgufType::kString));
  if (tokens.count == 0 || tokens.count > Vocabulary::kMaxTokens)
    return fail(ErrorCode::kDataLoss, "{}: tokenizer.ggml.tokens has {} tokens, expected 1 to {}", file.name(), tokens.count, Vocabulary::kMaxTokens);
  // Optional arrays stand beside the tokens, one value each.
  const auto beside = [&](std::string_view key) -> Result<GgufArray> {
    if (!file.has(key)) return GgufArray{};
    STOA_TRY(values, file.get_array(key));
    if (values.raw == nullptr || values.count != tokens.count)
      return fail(ErrorCode::kDataLoss, "{}: {} has {} values for {} tokens", file.name(), key, values.count, tokens.count);
    return values;
  };
  STOA_TRY(scores, beside("tokenizer.ggml.scores"));
  STOA_TRY(types, beside("tokenizer.ggml.token_type"));
  vocabulary.reserve(tokens.count);
  for (std::size_t i = 0; i < tokens.count; ++i) {
    const std::int64_t type = types.count > 0 ? types.int_at(i) : 1;
    if (type < 0 || type > 6) return fail(ErrorCode::kDataLoss, "{}: tokenizer.ggml.token_type[{}] is {}, expected 0 to 6", file.name(), i, type);
    const double score = scores.count > 0 ? scores.float_at(i) : 0.0;
    vocabulary.add(tokens.strings[i], type == 0 ? TokenType::kNormal : static_cast<TokenType>(type), static_cast<float>(score));
  }
  return {};
}

Status read_special(const GgufFile& file, Vocabulary& vocabulary) {
  const std::pair<std::string_view, TokenId SpecialTokens::*> kKeys[] = {
      {"tokenizer.ggml.bos_token_id", &SpecialTokens::bos},          {"tokenizer.ggml.eos_token_id", &SpecialTokens::eos},
      {"tokenizer.ggml.eot_token_id", &SpecialTokens::eot},          {"tokenizer.ggml.unknown_token_id", &SpecialTokens::unk},
      {"tokenizer.ggml.padding_token_id", &SpecialTokens::pad},      {"tokenizer.ggml.cls_token_id", &SpecialTokens::cls},
      {"tokenizer.ggml.seperator_token_id", &SpecialTokens::sep},    {"tokenizer.ggml.separator_token_id", &SpecialTokens::sep},
      {"tokenizer.ggml.mask_token_id", &SpecialTokens::mask},        {"tokenizer.ggml.prefix_token_id", &SpecialTokens::fim_prefix},
      {"tokenizer.ggml.suffix_token_id", &SpecialTokens::fim_suffix}, {"tokenizer.ggml.middle_token_id", &SpecialTokens::fim_middle},
      {"tokenizer.ggml.fim_pre_token_id", &SpecialTokens::fim_prefix}, {"tokenizer.ggml.fim_suf_token_id", &SpecialTokens::fim_suffix},
      {"tokenizer.ggml.fim_mid_token_id", &SpecialTokens::fim_middle},
  };
  for (const auto& [key, member] : kKeys) {
    if (!file.has(key)) continue;
    STOA_TRY(id, file.get_int(key));
    if (id == 0xFFFFFFFF || id == -1) continue;  // how some writers say "none"
    if (id < 0 || id >= vocabulary.size()) return fail(ErrorCode::kDataLoss, "{}: {} is {}, the vocabulary has {} tokens", file.name(), key, id, vocabulary.size());
    vocabulary.special.*member = static_cast<TokenId>(id);
  }
  return {};
}

// The tokens that add_special puts around a text.
Status read_frame(const GgufFile& file, Vocabulary& vocabulary, TokenId first, TokenId last, bool add_first, bool add_last) {
  STOA_TRY(with_first, file.get_bool_or("tokenizer.ggml.add_bos_token", add_first));
  STOA_TRY(with_last, file.get_bool_or("tokenizer.ggml.add_eos_token", add_last));
  if (with_first && first != kNoToken) vocabulary.prefix.push_back(first);
  if (with_last && last != kNoToken) vocabulary.suffix.push_back(last);
  return {};
}

Result<std::unique_ptr<TokenModel>> read_bpe(const GgufFile& file, Vocabulary& vocabulary) {
  STOA_TRY(name, file.get_string_or("tokenizer.ggml.pre", "default"));
  const auto family = pre_tokenizer_of_gguf(name);
  if (!family) return fail(ErrorCode::kUnsupported, "{}: tokenizer.ggml.pre '{}' is not supported", file.name(), name);
  STOA_TRY(merges, file.get_array("tokenizer.ggml.merges", GgufType::kString));
  std::vector<std::pair<std::string_view, std::string_view>> rules;
  rules.reserve(merges.count);
  for (const auto rule : merges.strings) {
    const auto space = rule.find(' ', 1);
    if (space == std::string_view::npos) return fail(ErrorCode::kDataLoss, "{}: tokenizer.ggml.merges[{}] '{}' is no pair", file.name(), rules.size(), rule.substr(0, 80));
    rules.emplace_back(rule.substr(0, space), rule.substr(space + 1));
  }
  ByteBpeOptions options{.pre_tokenizer = *family};
  // Vocabularies of these two families were made by rank alone, so a word that is a token is never cut.
  options.ignore_merges = name == "llama-bpe" || name == "llama3" || name == "llama-v3" || name == "falcon3" || name == "tekken" || name == "llama4";
  STOA_TRY(prefix, file.get_bool_or("tokenizer.ggml.add_space_prefix", false));
  options.add_prefix_space = prefix;
  STOA_CHECK(read_frame(file, vocabulary, vocabulary.special.bos, vocabulary.special.eos, *family == PreTokenizer::kLlama3 || *family == PreTokenizer::kTekken, false));
  vocabulary.finish();
  return std::make_unique<ByteBpe>(vocabulary, rules, options);
}

Result<std::unique_ptr<TokenModel>> read_sentencepiece(const GgufFile& file, Vocabulary& vocabulary, bool unigram) {
  SentencePieceOptions options;
  STOA_TRY(prefix, file.get_bool_or("tokenizer.ggml.add_space_prefix", true));
  STOA_TRY(squeeze, file.get_bool_or("tokenizer.ggml.remove_extra_whitespaces", false));
  options.add_space_prefix = prefix;
  options.remove_extra_whitespaces = squeeze;
  auto& special = vocabulary.special;
  if (special.unk == kNoToken)
    for (TokenId id = 0; id < vocabulary.size() && special.unk == kNoToken; ++id)
      if (vocabulary.type(id) == TokenType::kUnknown) special.unk = id;
  STOA_CHECK(read_frame(file, vocabulary, special.bos, special.eos, !unigram, unigram));
  vocabulary.finish();
  if (!unigram) return std::make_unique<SentencePieceBpe>(vocabulary, options);
  std::optional<CharsMap> charsmap;
  if (file.has("tokenizer.ggml.precompiled_charsmap")) {
    STOA_TRY(blob, file.get_array("tokenizer.ggml.precompiled_charsmap"));
    if (blob.type != GgufType::kU8 && blob.type != GgufType::kI8)
      return fail(ErrorCode::kDataLoss, "{}: tokenizer.ggml.precompiled_charsmap is an array of {}, expected u8", file.name(), gguf_type_name(blob.type));
    STOA_TRY(parsed, CharsMap::parse({reinterpret_cast<const char*>(blob.raw), blob.count}));
    charsmap = std::move(parsed);
  }
  return std::make_unique<Unigram>(vocabulary, options, std::move(charsmap));
}

Result<std::unique_ptr<TokenModel>> read_wordpiece(const GgufFile& file, Vocabulary& vocabulary) {
  auto& special = vocabulary.special;
  const std::pair<TokenId SpecialTokens::*, std::string_view> kUsual[] = {
      {&SpecialTokens::unk, "[UNK]"}, {&SpecialTokens::cls, "[CLS]"}, {&SpecialTokens::sep, "[SEP]"}, {&SpecialTokens::pad, "[PAD]"}, {&SpecialTokens::mask, "[MASK]"}};
  for (const auto& [member, text] : kUsual)
    if (special.*member == kNoToken) special.*member = vocabulary.find(text);
  if (special.cls == kNoToken) special.cls = special.bos;
  STOA_CHECK(read_frame(file, vocabulary, special.cls, special.sep, true, true));
  vocabulary.finish();
  WordPieceOptions options;
  options.start_prefix = "\u2581";
  options.continuation_prefix = "";
  return std::make_unique<WordPiece>(vocabulary, std::move(options));
}

}  // namespace

Result<Tokenizer> Tokenizer::from_gguf(const GgufFile& file) {
  STOA_TRY(model_name, file.get_string("tokenizer.ggml.model"));
  auto vocabulary = std::make_unique<Vocabulary>();
  STOA_CHECK(read_tokens(file, *vocabulary));
  STOA_CHECK(read_special(file, *vocabulary));
  auto model = [&]() -> Result<std::unique_ptr<TokenModel>> {
    if (model_name == "gpt2") return read_bpe(file, *vocabulary);
    if (model_name == "llama") return read_sentencepiece(file, *vocabulary, false);
    if (model_name == "t5") return read_sentencepiece(file, *vocabulary, true);
    if (model_name == "bert") return read_wordpiece(file, *vocabulary);
    return fail(ErrorCode::kUnsupported, "{}: tokenizer.ggml.model '{}' is not supported (gpt2, llama, t5 and bert are)", file.name(), model_name);
  }();
  if (!model) return std::unexpected(std::move(model).error());
  if (!vocabulary->prefix.empty() && !vocabulary->suffix.empty()) vocabulary->pair = TokenizerLoader::pair_frame(*vocabulary, model_name != "bert");
  return TokenizerLoader::make(std::move(vocabulary), std::move(*model));
}

}  // namespace stoa::models
